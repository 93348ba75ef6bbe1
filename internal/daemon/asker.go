package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"exile/internal/control"
	"exile/internal/human"
)

// maxQuestions is how many bans may wait for an ignorecommand. Beyond that the command is not asked, so that an attacker with many addresses
// cannot delay bans.
const maxQuestions = 256

// maxWait is how long after its decision a ban is made without an answer. Otherwise a command that asks a remote service, which an attacker
// may slow down, could delay all bans in the queue by minutes.
const maxWait = 10 * time.Second

// question asks whether an address is to be spared.
type question struct {
	ban    control.Ban
	ladder []time.Duration // see banning.Rules.Offend
	ask    func(ctx context.Context, a netip.Addr) (bool, error)
}

// answer is what the ignorecommand said.
type answer struct {
	question
	ignored bool
	err     error
}

// asker runs ignorecommands, which may take seconds, outside the loop.
type asker struct {
	questions chan question
	answers   chan answer
	queue     []question // still to be put
	open      int        // questions without an answer
}

func newAsker() asker { return asker{questions: make(chan question), answers: make(chan answer)} }

// add queues a question, unless too many are open.
func (a *asker) add(q question) bool {
	if a.open >= maxQuestions {
		return false
	}
	a.open++
	a.queue = append(a.queue, q)
	return true
}

// asking reports whether a question has no answer yet.
func (a *asker) asking() bool { return a.open > 0 }

// next returns where questions go and the next one; nil when there is none.
func (a *asker) next() (chan<- question, question) {
	if len(a.queue) == 0 {
		return nil, question{}
	}
	return a.questions, a.queue[0]
}

// sent takes the question off the queue that next returned.
func (a *asker) sent() { a.queue = a.queue[1:] }

// answered notes that a question has its answer.
func (a *asker) answered() { a.open-- }

// run asks each question at once: the command itself limits how many run.
func (a *asker) run(ctx context.Context) error {
	for {
		select {
		case q := <-a.questions:
			go a.put(ctx, q)
		case <-ctx.Done():
			return nil
		}
	}
}

// put asks a question and passes the answer to the loop, unless ctx ends first.
func (a *asker) put(ctx context.Context, q question) {
	limit, cancel := context.WithTimeoutCause(ctx, maxWait, fmt.Errorf("no answer within %s of the decision", human.Span(maxWait)))
	defer cancel()
	ignored, err := q.ask(limit, q.ban.Prefix.Addr())
	select {
	case a.answers <- answer{q, ignored, err}:
	case <-ctx.Done():
	}
}

// consult asks the ignorecommand of the jail before a ban is made.
func (d *Daemon) consult(j *Jail, b control.Ban, ladder []time.Duration) {
	if !d.asker.add(question{b, ladder, j.Ignored}) {
		d.banOffender(j, b, ladder)
	}
}

// answer acts on the answer of the ignorecommand. Without an answer the ban is made.
func (d *Daemon) answer(a answer) {
	d.asker.answered()
	if a.err != nil {
		d.cfg.Log.Warn("The ignorecommand gave no answer", "jail", a.ban.Jail, "address", a.ban.Prefix, "error", a.err)
	}
	j := d.plan.jail(a.ban.Jail)
	switch {
	case j == nil || d.rules().Served(&j.Jail, &a.ban, time.Now()):
	case d.kernel.pausing():
		j.Release(a.ban.Prefix)
	case a.ignored:
		j.Release(a.ban.Prefix)
		d.spare(a.ban, "ignorecommand")
	default:
		d.banOffender(j, a.ban, a.ladder)
	}
}
