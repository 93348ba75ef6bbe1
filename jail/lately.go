package jail

// lately remembers when something was last noted of keys: of the newest limit of them, and of at most twice as many. It is
// for what is noted of every line and seldom asked for: where recent puts keys in order, one by one, it forgets half of
// them at once.
type lately struct {
	limit       int
	now, before map[key]int64
}

func newLately(limit int) lately {
	return lately{limit: limit, now: make(map[key]int64), before: make(map[key]int64)}
}

// note notes k at that time, in any unit.
func (l *lately) note(k key, at int64) {
	if len(l.now) >= l.limit {
		l.now, l.before = l.before, l.now
		clear(l.now)
	}
	l.now[k] = at
}

// last returns when k was noted last.
func (l *lately) last(k key) (at int64, ok bool) {
	if at, ok = l.now[k]; !ok {
		at, ok = l.before[k]
	}
	return at, ok
}
