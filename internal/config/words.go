package config

import (
	"time"

	"exile/jail"
	"exile/journal"
)

// word is a key of the configuration and how its value is stored in T.
type word[T any] struct {
	name string
	set  func(*T, value) error
}

// into returns a word that parses a value and stores it in a field.
func into[T, F any](name string, parse func(value) (F, error), field func(*T) *F) word[T] {
	return word[T]{name, func(t *T, v value) error {
		f, err := parse(v)
		if err == nil {
			*field(t) = f
		}
		return err
	}}
}

// globalWords are the keys at the top of the file, or in defaults.
func globalWords() []word[Config] {
	return []word[Config]{
		into("backend", oneOf("auto", "ipset", "nftables", "route", "dry-run"), func(c *Config) *string { return &c.Backend }),
		into("kill_connections", parseBool, func(c *Config) *bool { return &c.KillConnections }),
		into("journal", parsePaths, func(c *Config) *[]string { return &c.JournalDirs }),
		into("state", parsePath, func(c *Config) *string { return &c.StateDir }),
		into("lookback", timeFrom(0), func(c *Config) *time.Duration { return &c.LookBack }),
		into("dbpurgeage", timeFrom(time.Hour), func(c *Config) *time.Duration { return &c.PurgeAge }),
		into("max_bans", wholeIn(1000, 16_000_000), func(c *Config) *int { return &c.MaxBans }),
		into("geoip", parseDatabases, func(c *Config) *[]string { return &c.GeoIP }),
		into("nat64_prefixes", parseNAT64, func(c *Config) *NAT64 { return &c.NAT64 }),
		into("blocklists", parseBlocklists, func(c *Config) *[]Blocklist { return &c.Blocklists }),
	}
}

// jailWords are the keys of a jail, of defaults or, in a file as flat as that of a tutorial, at the top.
func jailWords() []word[Jail] {
	return append([]word[Jail]{
		{"enabled", parseEnabled},
		into("simulate", parseBool, func(j *Jail) *bool { return &j.Simulate }),
		into("filter", parseNames, func(j *Jail) *[]string { return &j.Filters }),
		into("mode", oneOf("normal", "ddos", "extra", "aggressive"), func(j *Jail) *string { return &j.Mode }),
		into("publickey", oneOf("invalid", "any", "ignore"), func(j *Jail) *string { return &j.Publickey }),
		into("units", parseUnits, func(j *Jail) *[]string { return &j.Units }),
		into("identifiers", parseWords, func(j *Jail) *[]string { return &j.Identifiers }),
		into("trust_stdout", parseBool, func(j *Jail) *bool { return &j.TrustStdout }),
		into("logpath", parsePaths, func(j *Jail) *[]string { return &j.LogPath }),
		into("logformat", parseLogFormat, func(j *Jail) *string { return &j.LogFormat }),
		into("match", parseMatch, func(j *Jail) *journal.Selector { return &j.Match }),
		{"containers", parseContainers},
		into("owner", parseOwner, func(j *Jail) *int64 { return &j.Containers.Owner }),
		into("logtimezone", parseZone, func(j *Jail) *string { return &j.LogTimeZone }),
		into("framable", parseAccepted, func(j *Jail) *bool { return &j.Framable }),
		into("trust_logpath", parseBool, func(j *Jail) *bool { return &j.TrustLogPath }),
		{"port", func(j *Jail, v value) (err error) { j.Ports, err = parsePorts(v); return err }},
		into("detection", oneOf(jail.Threshold, jail.Adaptive), func(j *Jail) *jail.Detection { return &j.Detection }),
		into("maxretry", wholeIn(1, 1000), func(j *Jail) *int { return &j.MaxRetry }),
		into("findtime", timeFrom(time.Second), func(j *Jail) *time.Duration { return &j.FindTime }),
		into("bantime", parseBanTime, func(j *Jail) *time.Duration { return &j.BanTime }),
		into("bantime.increment", parseBool, func(j *Jail) *bool { return &j.Escalation.Increment }),
		into("bantime.factor", numberIn(0.01, 1000), func(j *Jail) *float64 { return &j.Escalation.Factor }),
		into("bantime.multipliers", parseMultipliers, func(j *Jail) *[]int { return &j.Escalation.Multipliers }),
		into("bantime.maxtime", timeFrom(0), func(j *Jail) *time.Duration { return &j.Escalation.MaxTime }),
		into("bantime.rndtime", timeFrom(0), func(j *Jail) *time.Duration { return &j.Escalation.RndTime }),
		into("bantime.overalljails", parseBool, func(j *Jail) *bool { return &j.Escalation.OverallJails }),
		into("ipv4_prefix", wholeIn(24, 32), func(j *Jail) *int { return &j.IPv4Prefix }),
		into("ipv6_prefix", wholeIn(48, 128), func(j *Jail) *int { return &j.IPv6Prefix }),
		into("max_tracked", wholeIn(1000, 100_000_000), func(j *Jail) *int { return &j.MaxTracked }),
		into("ignoreip", parseIgnore, func(j *Jail) *[]jail.Ignore { return &j.IgnoreIP }),
		into("proxies", parseIgnore, func(j *Jail) *[]jail.Ignore { return &j.Proxies }),
		into("ignoreself", parseBool, func(j *Jail) *bool { return &j.IgnoreSelf }),
		into("ignorecommand", parseCommand, func(j *Jail) *[]string { return &j.IgnoreCommand }),
		into("ignorecache", timeFrom(0), func(j *Jail) *time.Duration { return &j.IgnoreCache }),
		into("trust_logins", timeFrom(0), func(j *Jail) *time.Duration { return &j.TrustLogins }),
		into("admins", parseAdmins, func(j *Jail) *[]string { return &j.Admins }),
		into("aggregate", oneOf("off", "ipv4", "ipv6", "both"), func(j *Jail) *string { return &j.aggregate }),
		into("aggregate.ipv4_count", wholeIn(2, 256), func(j *Jail) *int { return &j.Aggregate.IPv4 }),
		into("aggregate.ipv6_count", wholeIn(2, 256), func(j *Jail) *int { return &j.Aggregate.IPv6 }),
	}, append(adaptiveWords(), placeWords()...)...)
}

// adaptiveWords are the keys of the adaptive detector.
func adaptiveWords() []word[Jail] {
	return []word[Jail]{
		into("adaptive.maxretry", numberIn(1, 500), func(j *Jail) *float64 { return &j.Adaptive.MaxRetry }),
		into("adaptive.findtime", timeFrom(time.Second), func(j *Jail) *time.Duration { return &j.Adaptive.FindTime }),
		into("adaptive.slow_retry", numberIn(0, 500), func(j *Jail) *float64 { return &j.Adaptive.SlowRetry }),
		into("adaptive.slow_time", timeFrom(time.Second), func(j *Jail) *time.Duration { return &j.Adaptive.SlowTime }),
		into("adaptive.name_hosts", wholeIn(0, 8), func(j *Jail) *int { return &j.Adaptive.NameHosts }),
		into("adaptive.name_sure", wholeIn(0, 8), func(j *Jail) *int { return &j.Adaptive.NameSure }),
		into("adaptive.name_time", timeFrom(time.Second), func(j *Jail) *time.Duration { return &j.Adaptive.NameTime }),
		into("adaptive.known_good", numberIn(0, 1), func(j *Jail) *float64 { return &j.Adaptive.KnownGood }),
		into("adaptive.known_time", timeFrom(0), func(j *Jail) *time.Duration { return &j.Adaptive.KnownTime }),
		into("adaptive.ladder", parseTimes, func(j *Jail) *[]time.Duration { return &j.Adaptive.Ladder }),
		into("adaptive.name_ladder", parseTimes, func(j *Jail) *[]time.Duration { return &j.Adaptive.NameLadder }),
		into("adaptive.maxban", timeFrom(time.Second), func(j *Jail) *time.Duration { return &j.Adaptive.MaxBan }),
		into("adaptive.prefix_hosts", wholeIn(0, 8), func(j *Jail) *int { return &j.Adaptive.PrefixHosts }),
		into("adaptive.prefix_time", timeFrom(time.Second), func(j *Jail) *time.Duration { return &j.Adaptive.PrefixTime }),
		into("adaptive.prefix_ladder", parseTimes, func(j *Jail) *[]time.Duration { return &j.Adaptive.PrefixLadder }),
		into("adaptive.prefix_retry", wholeIn(0, 100), func(j *Jail) *int { return &j.Adaptive.PrefixRetry }),
		into("adaptive.siege_hosts", wholeIn(0, 8), func(j *Jail) *int { return &j.Adaptive.SiegeHosts }),
		into("adaptive.siege_time", timeFrom(time.Second), func(j *Jail) *time.Duration { return &j.Adaptive.SiegeTime }),
		into("adaptive.stranger_retry", numberIn(0, 500), func(j *Jail) *float64 { return &j.Adaptive.StrangerRetry }),
	}
}

func names[T any](words []word[T]) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w.name
	}
	return out
}
