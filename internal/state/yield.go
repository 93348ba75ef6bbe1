package state

import "runtime"

// makeWay lets other goroutines run after every 64th of many values. Otherwise, while the collector runs on the other processor, a
// transaction that writes thousands of lifted bans makes each step towards a new ban wait for the 10 ms of Go's time slice.
func makeWay(n int) {
	if n%64 == 0 {
		runtime.Gosched()
	}
}
