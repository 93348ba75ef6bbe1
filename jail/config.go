package jail

import "time"

// Permanent as a ban time is for ever.
const Permanent = time.Duration(-1)

// Config is what the arithmetic of one jail needs to know. Package internal/config makes it from the file.
type Config struct {
	Name       string
	Detection  Detection
	MaxRetry   int           // attempts within FindTime that make a ban; at least 1
	FindTime   time.Duration // the sliding window
	BanTime    time.Duration // of a first offence; Permanent is for ever
	IPv4Prefix int           // bits that are counted and banned together, 24..32; 32 by default
	IPv6Prefix int           // likewise, 48..128; 64 by default
	MaxTracked int           // prefixes remembered at most; 1,000,000 by default
	Escalation Escalation
	Adaptive   AdaptiveConfig
}

// Detection is the name of a detector.
type Detection string

// The detectors.
const (
	Threshold Detection = "threshold"
	Adaptive  Detection = "adaptive"
)
