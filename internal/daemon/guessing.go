package daemon

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"exile/jail"
)

// reasonGuessing is a reason for being degraded: the source of guesses cannot be banned. The account that was tried follows.
const reasonGuessing = "guessing:"

const (
	// maxGuessing limits how many accounts are named at once.
	maxGuessing = 8
	// someNames stands for names that are no accounts of this host: they may be anything, even passwords.
	someNames = "unknown-names"
)

// accountName is what the name of an account looks like, see useradd(8).
var accountName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}\$?$`)

// guessing degrades the daemon while passwords are guessed from an address that no ban can stop.
func (d *Daemon) guessing(dec *jail.Decision) {
	if !dec.Unstoppable {
		return
	}
	account := someNames
	if accountName.MatchString(dec.Account) {
		account = dec.Account
	}
	reason := reasonGuessing + account
	if d.health.room(reason, reasonGuessing, maxGuessing) {
		d.health.degradeWith(reason, guessingRemedy(account, dec.Prefix.Addr(), dec.Protected), time.Now().Add(transient), nil)
		d.health.restrict(reason, strings.TrimSuffix(reasonGuessing, ":"), "Somebody guesses passwords from an address that is never banned: "+
			"sudo exilectl status names it and the account, and says what to do.")
	}
}

func guessingRemedy(account string, from netip.Addr, protected string) string {
	who, remedy := "a local user", "find out which with journalctl and loginctl, and lock the account's password if it needs none (passwd -l)"
	if strings.HasPrefix(protected, "live session") {
		who = "somebody beside a " + protected
		remedy = "end that session, or choose a backend that can ban beside one: ipset or nftables"
	}
	return fmt.Sprintf("Somebody guesses passwords of %s from %s, which is never banned: %s. Remedy: %s.", account, from, who, remedy)
}
