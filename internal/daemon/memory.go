package daemon

import (
	"encoding/binary"
	"time"

	"exile/internal/state"
)

// The memory of a detector is a checkpoint, and the journal the log behind it: a snapshot is stored with the position in
// one transaction, and what came after it is read again.

// memorizeEvery is how often snapshots are taken. It bounds what is read again, and costs writing some megabytes.
const memorizeEvery = 10 * time.Minute

// memorize takes the snapshots that are due. In front of each stands the time of the last entry that is in it.
func (d *Daemon) memorize(now time.Time) map[string]state.Snapshot {
	if now.Sub(d.memorized) < memorizeEvery {
		return nil
	}
	d.memorized = now
	snapshots := make(map[string]state.Snapshot)
	for _, r := range d.sources {
		at := r.position.Time()
		if !r.caughtUp || at.IsZero() {
			continue
		}
		for _, j := range r.Jails {
			if j.Memory != nil {
				d.memorizeJail(j, at, snapshots)
			}
		}
		r.low = r.Source.low(at)
	}
	return snapshots
}

func (d *Daemon) memorizeJail(j *Jail, at time.Time, snapshots map[string]state.Snapshot) {
	s, err := j.snapshot(at)
	if err != nil {
		d.log.Warn("The memory of a jail cannot be stored; it is rebuilt from the journal at the next start", "jail", j.Info.Name, "error", err)
		return
	}
	j.remembers = at
	snapshots[j.Info.Name] = s
}

// snapshot is the memory of a jail whose last entry was at that time.
func (j *Jail) snapshot(at time.Time) (state.Snapshot, error) {
	version, data, err := j.Memory.Snapshot()
	data = append(binary.BigEndian.AppendUint64(nil, uint64(at.UnixMicro())), data...)
	return state.Snapshot{Version: version, Data: data}, err
}

// remind gives the jails of the plan their memories back. One that has none, or cannot read it, reads the log again as
// far as it goes. The memories hold the reports up to the one of the number heard.
func (d *Daemon) remind(snapshots map[string]state.Snapshot, heard uint64) {
	for _, j := range d.plan.Jails {
		s, ok := snapshots[j.Info.Name]
		if !ok || j.Memory == nil || len(s.Data) < 8 {
			continue
		}
		if err := j.Memory.Restore(s.Version, s.Data[8:]); err != nil {
			d.log.Warn("The memory of a jail cannot be used; it is rebuilt from the journal", "jail", j.Info.Name, "error", err)
			continue
		}
		j.heard = heard
		j.remembers = time.UnixMicro(int64(binary.BigEndian.Uint64(s.Data)))
		j.Resume(j.remembers)
	}
}
