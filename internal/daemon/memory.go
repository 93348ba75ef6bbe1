package daemon

import (
	"encoding/binary"
	"time"

	"exile/internal/state"
)

// The memory of a detector is a checkpoint, and the journal the log behind it: a snapshot is stored with the position in
// one transaction, and what came after it is read again.

// memorizeEvery is how often snapshots are taken. That limits how much is read again, at the cost of writing some megabytes.
const memorizeEvery = 10 * time.Minute

// memorize takes the snapshots that are due. Each begins with the time of the last entry in it, or of the last flush: what was logged before
// that is not counted again.
func (d *Daemon) memorize(now time.Time) map[string]state.Snapshot {
	if !d.ledger.memorizing(now) {
		return nil
	}
	snapshots := make(map[string]state.Snapshot)
	for _, r := range d.sources.running {
		at := r.complete()
		if at.IsZero() {
			continue
		}
		for _, j := range r.Jails {
			if j.Memory != nil {
				d.memorizeJail(j, d.knownUntil(j, at), snapshots)
			}
		}
		r.low = r.Source.low(at)
	}
	return snapshots
}

// complete returns the time up to which the memories of the source's jails are complete; zero: there is none. Of several logs in one source each is
// read up to another time, so their jails are shown them again.
func (r *running) complete() time.Time {
	if !r.caughtUp || r.position.Parts != "" {
		return time.Time{}
	}
	return r.position.Time()
}

// knownUntil returns the time up to which a jail needs no entries, when its source is at that position.
func (d *Daemon) knownUntil(j *Jail, at time.Time) time.Time {
	if pardoned := d.ledger.pardoned(j.Info.Name); pardoned.After(at) {
		return pardoned
	}
	return at
}

func (d *Daemon) memorizeJail(j *Jail, at time.Time, snapshots map[string]state.Snapshot) {
	s, err := j.snapshot(at)
	if err != nil {
		d.cfg.Log.Warn("Failed to store the memory of a jail; it is rebuilt from the journal at the next start", "jail", j.Info.Name, "error", err)
		return
	}
	j.remembers = at
	snapshots[j.Info.Name] = s
}

// snapshot returns the memory of a jail whose last entry was at that time.
func (j *Jail) snapshot(at time.Time) (state.Snapshot, error) {
	version, data, err := j.Memory.Snapshot()
	data = append(binary.BigEndian.AppendUint64(nil, uint64(at.UnixMicro())), data...)
	return state.Snapshot{Version: version, Data: data}, err
}

// remind restores the memories of the jails of the plan. A jail that has none, or cannot read it, is shown the whole log again. The memories
// hold the reports up to the number heard.
func (d *Daemon) remind(snapshots map[string]state.Snapshot, heard uint64) {
	for _, j := range d.plan.Jails {
		s, ok := snapshots[j.Info.Name]
		if !ok || j.Memory == nil || len(s.Data) < 8 {
			continue
		}
		if err := j.Memory.Restore(s.Version, s.Data[8:]); err != nil {
			d.cfg.Log.Warn("Failed to restore the memory of a jail; it is rebuilt from the journal", "jail", j.Info.Name, "error", err)
			continue
		}
		j.heard = heard
		j.remembers = time.UnixMicro(int64(binary.BigEndian.Uint64(s.Data)))
		j.Resume(j.remembers)
		if d.ledger.pardoned(j.Info.Name).After(j.remembers) {
			j.ForgetAll()
		}
	}
}
