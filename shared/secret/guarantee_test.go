package secret_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"outpost/infra/local/guarantee"
	"outpost/shared/secret"
	"outpost/shared/secret/secrettest"
	"outpost/shared/topology"
)

// place is where a version of a secret is stored.
type place struct {
	tenant, name string
	version      int
}

// TestGuaranteeNoMovedCiphertextOpens steals what is stored of every version of
// every secret of five tenants and moves it, as who can write to everything may:
// to another tenant, another name, another version and each combination of these;
// the key and the ciphertext together, the key alone onto the ciphertext that
// belongs there, the ciphertext alone under the key that belongs there. None
// opens. What is put back to where it was opens, so that it is the move alone that
// spoils it. All of that in either store.
func TestGuaranteeNoMovedCiphertextOpens(t *testing.T) {
	g := guarantee.For(t, "tenancy-7", "A ciphertext that was moved to another tenant, name or version does not decrypt.")
	moves := g.Pick(1000, 42)
	worlds := map[topology.SecretStore]secrettest.World{topology.InTable: vaultWorld(t), topology.InSecretsManager: newDepositoryWorld(t, nil, nil).World}
	for _, store := range topology.SecretStores {
		w := worlds[store]
		random := rand.New(rand.NewPCG(7, 1))
		values, loot := map[place]string{}, map[place]secrettest.Loot{}
		var tenants []string
		var places []place
		for range 5 {
			tn, by, _ := w.Tenant(t)
			tenants = append(tenants, tn)
			for _, name := range secret.Names() {
				for version := 1; version <= 2; version++ {
					p, host := place{tn, name, version}, ""
					if name == secret.GitToken {
						host = "git.example.com"
					}
					values[p] = fmt.Sprint("the value of ", p)
					must(t, w.Store.Put(t.Context(), tn, name, values[p], host, by("secret.put")))
					loot[p] = w.Steal(tn, name, version)
					places = append(places, p)
				}
			}
		}
		other := func(all []string, than string) string {
			for {
				if s := all[random.IntN(len(all))]; s != than {
					return s
				}
			}
		}
		opened, back, put := 0, 0, 0
		for i := range moves {
			from := places[random.IntN(len(places))]
			to, way := from, 1+i%7 // what changes, a bit each
			if way&1 != 0 {
				to.tenant = other(tenants, from.tenant)
			}
			if way&2 != 0 {
				to.name = other(secret.Names(), from.name)
			}
			if way&4 != 0 {
				to.version = 3 - from.version
			}
			l := loot[from]
			switch i / 7 % 3 {
			case 1:
				l.Ciphertext = loot[to].Ciphertext
			case 2:
				l.Key = loot[to].Key
			}
			w.Plant(to.tenant, to.name, to.version, l)
			if got, _, err := w.Store.Open(t.Context(), to.tenant, to.name); err == nil || errors.Is(err, secret.ErrNotSet) || got != "" {
				opened++
				t.Errorf("%s: move %d from %v to %v: %q, %v", store, i, from, to, got, err)
			}
			if i%7 != 6 {
				continue
			}
			put++
			w.Plant(from.tenant, from.name, from.version, loot[from])
			if got, _, err := w.Store.Open(t.Context(), from.tenant, from.name); err != nil || got != values[from] {
				t.Errorf("%s: back at %v: %q, %v", store, from, got, err)
			} else {
				back++
			}
		}
		name := map[topology.SecretStore]string{topology.InTable: "table and KMS", topology.InSecretsManager: "Secrets Manager"}[store]
		g.Figure("moved, "+name, fmt.Sprintf("%d, of %d versions: %d opened", moves, len(places), opened))
		g.Figure("put back, "+name, fmt.Sprintf("%d: %d opened", put, back))
	}
	g.Figure("ways", "7 ways to be elsewhere × 3 (key and ciphertext, key alone, ciphertext alone)")
	g.Figure("seed", 7)
}
