package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"exile/internal/control"
)

// maxQuestions is how many bans may wait for an ignorecommand; beyond, nobody is asked: an attacker with many addresses
// must not be able to put bans off.
const maxQuestions = 256

// maxWait is how long after its decision a ban is made without an answer. Else a command that asks elsewhere, where an attacker
// may be slow to answer, would put off all that wait for their turn: by minutes.
const maxWait = 10 * time.Second

// question is whether a ban is not to be made.
type question struct {
	ban    control.Ban
	ladder []time.Duration // see convict
	ask    func(ctx context.Context, a netip.Addr) (bool, error)
}

// answer is what the ignorecommand said.
type answer struct {
	question
	ignored bool
	err     error
}

// consult asks the ignorecommand of the jail, which may take seconds, away from the loop.
func (d *Daemon) consult(j *Jail, b control.Ban, ladder []time.Duration) {
	if d.open >= maxQuestions {
		d.convict(j, b, ladder)
		return
	}
	d.open++
	d.asked = append(d.asked, question{b, ladder, j.Ignored})
}

// nextQuestion returns the channel of the asker and the next question; nil when there is none.
func (d *Daemon) nextQuestion() (chan<- question, question) {
	if len(d.asked) == 0 {
		return nil, question{}
	}
	return d.questions, d.asked[0]
}

// asker puts questions, at once: the command itself bounds how many run.
func (d *Daemon) asker(ctx context.Context) error {
	for {
		select {
		case q := <-d.questions:
			go d.put(ctx, q)
		case <-ctx.Done():
			return nil
		}
	}
}

// put puts a question and hands on the answer, unless ctx ends before.
func (d *Daemon) put(ctx context.Context, q question) {
	limit, cancel := context.WithTimeoutCause(ctx, maxWait, fmt.Errorf("no answer within %v of the decision", maxWait))
	defer cancel()
	ignored, err := q.ask(limit, q.ban.Prefix.Addr())
	select {
	case d.answers <- answer{q, ignored, err}:
	case <-ctx.Done():
	}
}

// answer carries out what the ignorecommand said. Without an answer the ban is made.
func (d *Daemon) answer(a answer) {
	d.open--
	if a.err != nil {
		d.log.Warn("The ignorecommand gave no answer", "jail", a.ban.Jail, "address", a.ban.Prefix, "error", a.err)
	}
	j := d.plan.jail(a.ban.Jail)
	switch {
	case j == nil || d.served(a.ban):
	case d.pausing():
		j.Release(a.ban.Prefix)
	case a.ignored:
		j.Release(a.ban.Prefix)
		d.spare(a.ban, "ignorecommand")
	default:
		d.convict(j, a.ban, a.ladder)
	}
}
