package jail_test

import (
	"fmt"
	"time"

	"exile/jail"
	"exile/jail/filter"
	"exile/journal"
)

// Three wrong passwords within ten minutes ban an address for an hour. A jail has no clock: the times are those of the entries.
func ExampleJail_Observe() {
	sshd, err := filter.New("sshd", filter.Options{})
	if err != nil {
		panic(err)
	}
	j, err := jail.New(jail.Config{
		Name: "sshd", Detection: jail.Threshold, MaxRetry: 3, FindTime: 10 * time.Minute, BanTime: time.Hour,
		IPv4Prefix: 32, IPv6Prefix: 64, MaxTracked: 1000,
	}, sshd, nil, nil)
	if err != nil {
		panic(err)
	}
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for i := range 3 {
		e := journal.Entry{
			Time: noon.Add(time.Duration(i) * time.Minute), PID: int32(100 + i),
			Message: []byte("Failed password for invalid user oracle from 2001:db8::7 port 4000 ssh2"),
		}
		for _, d := range j.Observe(&e) {
			fmt.Printf("ban %s until %s\n", d.Prefix, d.Until.Format(time.TimeOnly))
		}
	}
	// Output: ban 2001:db8::/64 until 13:02:00
}
