package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas/types"
)

// need is how much of a quota Outpost needs. A quota is found by its name, and
// tells its code itself.
type need struct {
	quota, what string
	value       float64
}

// finding is one thing that a deployment needs.
type finding struct {
	what       string
	have, need float64
	// Of the quota to ask for; empty where none is asked.
	service, code string
	standard      float64 // AWS's default; 0 where it is not known
	fixed         bool    // AWS raises it for nobody
	do            string  // what else to do
	unknown       string  // why it is not known
}

func (f finding) enough() bool { return f.unknown == "" && f.have >= f.need }

// ask is the value to ask for. AWS refuses a request that is not above its own
// default, also where a new account has less than that.
func (f finding) ask() float64 {
	if f.need <= f.standard {
		return f.standard + 1
	}
	return f.need
}

// quotas finds quotas of a service. Service Quotas lists no value of the
// account where AWS's default applies, so the defaults are read too.
func (a account) quotas(ctx context.Context, service string, needs ...need) (found []finding) {
	applied, problem := a.listApplied(ctx, service)
	standard, unlisted := a.listStandard(ctx, service)
	for _, n := range needs {
		f := finding{what: n.what, need: n.value, service: service}
		byDefault, known := standard[n.quota]
		f.standard = aws.ToFloat64(byDefault.Value)
		q, ok := applied[n.quota]
		switch {
		case ok:
			f.is(q)
		case problem != "": // the account may have another value than the default
			f.unknown, f.code = problem, aws.ToString(byDefault.QuotaCode)
		case known:
			f.is(byDefault)
		case unlisted != "":
			f.unknown = unlisted
		default:
			f.unknown = "there is no such quota in this region"
		}
		found = append(found, f)
	}
	return found
}

func (f *finding) is(q types.ServiceQuota) {
	f.code, f.fixed = aws.ToString(q.QuotaCode), !q.Adjustable
	switch {
	case q.Value != nil:
		f.have = *q.Value
	case q.ErrorReason != nil:
		f.unknown = string(q.ErrorReason.ErrorCode)
	default:
		f.unknown = "it has no value"
	}
}

// listApplied reads what the account has, by name, as far as it may be read.
func (a account) listApplied(ctx context.Context, service string) (listed map[string]types.ServiceQuota, problem string) {
	listed = map[string]types.ServiceQuota{}
	pages := servicequotas.NewListServiceQuotasPaginator(a.applied, &servicequotas.ListServiceQuotasInput{ServiceCode: &service})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return listed, brief(err)
		}
		for _, q := range page.Quotas {
			listed[aws.ToString(q.QuotaName)] = q
		}
	}
	return listed, ""
}

// listStandard reads AWS's defaults likewise.
func (a account) listStandard(ctx context.Context, service string) (listed map[string]types.ServiceQuota, problem string) {
	listed = map[string]types.ServiceQuota{}
	pages := servicequotas.NewListAWSDefaultServiceQuotasPaginator(a.standard, &servicequotas.ListAWSDefaultServiceQuotasInput{ServiceCode: &service})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return listed, brief(err)
		}
		for _, q := range page.Quotas {
			listed[aws.ToString(q.QuotaName)] = q
		}
	}
	return listed, ""
}
