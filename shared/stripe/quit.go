package stripe

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	sdk "github.com/stripe/stripe-go/v76"

	"outpost/shared/billing"
)

// Quit ends whatever a customer pays for or could still pay for, and returns what
// is left: pages of Checkout, subscriptions that go on, and those whose first payment
// was never made. A page is closed before subscriptions are looked at, so that one
// that is paid meanwhile is found.
func (c *Client) Quit(ctx context.Context, customer string) (account billing.Account, err error) {
	for range rounds {
		if account, err = c.quit(ctx, customer); !errors.Is(err, errAgain) {
			return account, err
		}
	}
	return account, fmt.Errorf("end all of the customer %s while it pays: %w", customer, err)
}

func (c *Client) quit(ctx context.Context, customer string) (billing.Account, error) {
	if _, _, err := c.sessions(ctx, Checkout{Customer: customer}); err != nil && !noCustomer(err) {
		return billing.Account{}, err
	}
	account, err := c.Account(ctx, customer)
	if err != nil || len(account.Living()) == 0 {
		return account, err
	}
	for _, s := range account.Living() {
		if s.Status == billing.Incomplete {
			err = c.giveUp(ctx, []string{s.ID})
		} else {
			err = c.Cancel(ctx, s.ID)
		}
		if err != nil {
			return account, err
		}
	}
	return c.Account(ctx, customer)
}

// ClosePages closes the customer's open pages that Outpost has opened. One that was
// paid before it could be closed is no error: the subscription tells of it.
func (c *Client) ClosePages(ctx context.Context, customer string) error {
	it := c.newest(ctx, customer)
	for it.Next() {
		s := it.CheckoutSession()
		if s.Status != sdk.CheckoutSessionStatusOpen || s.Metadata["tenant"] == "" {
			continue
		}
		if err := c.expire(ctx, s.ID); err != nil && !errors.Is(err, errAgain) {
			return err
		}
	}
	if err := it.Err(); err != nil && !noCustomer(err) {
		return fmt.Errorf("list the Checkout sessions: %w", err)
	}
	return nil
}

// giveUp ends subscriptions whose first payment was never made. To cancel one does
// not close its invoice, so that is voided first: it was either paid before, which is
// errAgain and leaves the subscription alone, or nobody can pay it any more, and
// nothing that is canceled then was paid for.
func (c *Client) giveUp(ctx context.Context, subscriptions []string) error {
	for _, id := range subscriptions {
		if err := c.voidAll(ctx, id); err != nil {
			return err
		}
		if err := c.Cancel(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// voidAll makes what is owed for a subscription that nobody can pay.
func (c *Client) voidAll(ctx context.Context, subscription string) error {
	list := &sdk.InvoiceListParams{Subscription: &subscription}
	list.Context = ctx
	list.Limit = sdk.Int64(100)
	it := c.api.Invoices.List(list)
	for it.Next() {
		switch it.Invoice().Status {
		case sdk.InvoiceStatusPaid:
			return errAgain
		case sdk.InvoiceStatusOpen, sdk.InvoiceStatusUncollectible: // both can be paid
			p := &sdk.InvoiceVoidInvoiceParams{}
			p.Context = ctx
			_, err := c.api.Invoices.VoidInvoice(it.Invoice().ID, p)
			var refused *sdk.Error
			if errors.As(err, &refused) && refused.HTTPStatusCode == http.StatusBadRequest {
				return errAgain // it was paid, or voided by another
			}
			if err != nil {
				return fmt.Errorf("void the invoice of the subscription %s: %w", subscription, err)
			}
		}
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("list the invoices of the subscription %s: %w", subscription, err)
	}
	return nil
}
