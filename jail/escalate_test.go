package jail

import (
	"math"
	"net/netip"
	"testing"
	"time"
)

func TestBanTime(t *testing.T) {
	t.Parallel()
	const m, h, d = time.Minute, time.Hour, 24 * time.Hour
	doubling := Escalation{Increment: true, Factor: 1, MaxTime: 7 * d}
	for _, c := range []struct {
		name    string
		e       Escalation
		base    time.Duration
		offence int
		random  float64
		want    time.Duration
	}{
		{"off", Escalation{}, 10 * m, 9, 0.5, 10 * m},
		{"off with limits named", Escalation{MaxTime: m, RndTime: h}, 10 * m, 9, 0.5, 10 * m},
		{"first", doubling, 10 * m, 1, 0, 10 * m},
		{"unknown is first", doubling, 10 * m, 0, 0, 10 * m},
		{"second: 10 * 2", doubling, 10 * m, 2, 0, 20 * m},
		{"tenth: 10 * 2^9 = 5120 min", doubling, 10 * m, 10, 0, 5120 * m},
		{"eleventh: 10 * 2^10 = 10240 min > a week = 10080 min", doubling, 10 * m, 11, 0, 7 * d},
		{"thousandth", doubling, 10 * m, 1000, 0, 7 * d},
		{"factor: 10 * 2^2 * 1.5", Escalation{Increment: true, Factor: 1.5}, 10 * m, 3, 0, 60 * m},
		{"small factor: 10 * 2 * 0.25 = 5, not below the first", Escalation{Increment: true, Factor: 0.25}, 10 * m, 2, 0, 10 * m},
		{"no factor is 1", Escalation{Increment: true}, 10 * m, 2, 0, 20 * m},
		{"multipliers: the second", Escalation{Increment: true, Multipliers: []int{1, 5, 30}}, 10 * m, 2, 0, 50 * m},
		{"multipliers: the last for all further", Escalation{Increment: true, Multipliers: []int{1, 5, 30}}, 10 * m, 7, 0, 300 * m},
		{"multipliers with factor: 10 * 5 * 2", Escalation{Increment: true, Factor: 2, Multipliers: []int{1, 5}}, 10 * m, 2, 0, 100 * m},
		{"random: 20 min + 0.5 * 8 min", Escalation{Increment: true, RndTime: 8 * m}, 10 * m, 2, 0.5, 24 * m},
		{"random behind the limit: 15 + 0.25 * 8", Escalation{Increment: true, MaxTime: 15 * m, RndTime: 8 * m}, 10 * m, 2, 0.25, 17 * m},
		{"limit below the first", Escalation{Increment: true, MaxTime: m}, 10 * m, 5, 0, 10 * m},
		{"permanent", doubling, Permanent, 3, 0.5, Permanent},
		{"doubling ends at 2^20 s = 1048576 s", Escalation{Increment: true}, time.Second, 64, 0, 1048576 * time.Second},
		{"never over a century", Escalation{Increment: true, Factor: 1000}, 365 * d, 64, 0, 36500 * d},
	} {
		if got := c.e.BanTime(c.base, c.offence, c.random); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestChance(t *testing.T) {
	t.Parallel()
	p, secret := netip.MustParsePrefix("192.0.2.1/32"), []byte("secret")
	if Chance(secret, p, 2) != Chance(secret, p, 2) {
		t.Error("the same ban gives two numbers")
	}
	others := map[float64]bool{Chance(secret, p, 2): true, Chance(secret, p, 3): true, Chance([]byte("x"), p, 2): true}
	if len(others) != 3 {
		t.Error("offence or secret does not matter")
	}
	sum := 0.0
	for i := range 1000 {
		c := Chance(secret, p, i)
		if c < 0 || c >= 1 {
			t.Fatalf("%v is not from 0 up to 1", c)
		}
		sum += c
	}
	if math.Abs(sum/1000-0.5) > 0.05 { // five times the standard error of 0.0091
		t.Errorf("mean %v", sum/1000)
	}
}
