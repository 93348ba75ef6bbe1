package fail2ban

import (
	"slices"
	"strings"
)

// This file has the names of fail2ban's keys, filters and actions.

// isKey reports whether a key of a jail is known.
func isKey(key string) bool {
	return slices.Contains(strings.Fields(keysMoved), key) || slices.Contains(strings.Fields(keysElsewhere), key) ||
		strings.HasPrefix(key, "action_")
}

const (
	keysMoved = `enabled filter mode maxretry findtime bantime bantime.increment bantime.factor bantime.multipliers bantime.maxtime
		bantime.rndtime bantime.overalljails bantime.formula ignoreip ignoreself ignorecommand ignorecache port logpath logtimezone
		journalmatch backend action failregex ignoreregex prefregex datepattern usedns maxlines`
	// keysElsewhere have their effect in other keys, or in how fail2ban works inside.
	keysElsewhere = `protocol chain banaction banaction_allports logencoding maxmatches fail2ban_agent destemail sender sendername mta
		skip_if_nologs allowipv6 default_backend`
)

// stockFilters are those of fail2ban, present and past.
//
//nolint:misspell // RouterOS is a name
const stockFilters = `3proxy apache-auth apache-badbots apache-botsearch apache-fakegooglebot apache-modsecurity apache-nohome
	apache-noscript apache-overflows apache-pass apache-shellshock assp asterisk bitwarden centreon counter-strike courier-auth
	courier-smtp cyrus-imap dante directadmin domino-smtp dovecot dropbear drupal-auth ejabberd-auth exim exim-spam freeswitch
	froxlor-auth gitlab grafana groupoffice gssftpd guacamole haproxy-http-auth horde kerio lighttpd-auth mongodb-auth monit
	monitorix mssql-auth murmur mysqld-auth nagios named-refused nginx-bad-request nginx-botsearch nginx-error-common
	nginx-forbidden nginx-http-auth nginx-limit-req nsd openhab openvpn openwebmail oracleims pam-generic perdition php-url-fopen
	phpmyadmin-syslog portsentry postfix postfix-rbl postfix-sasl proftpd proxmox pure-ftpd qmail recidive roundcube-auth routeros-auth
	sasl scanlogd screensharingd selinux-ssh sendmail-auth sendmail-reject sieve slapd softethervpn sogo-auth solid-pop3d squid
	squirrelmail ssh sshd sshd-aggressive sshd-ddos stunnel suhosin tine20 traefik-auth uwimap-auth vaultwarden vsftpd webmin-auth
	wuftpd xinetd-fail xrdp znc-adminlog zoneminder`

func isStockFilter(name string) bool { return slices.Contains(strings.Fields(stockFilters), name) }

// meaning is what a filter of fail2ban is here.
type meaning struct {
	filters []string // the first that there is; none: the one of the same name
	mode    string   // instead of that of fail2ban
	missing string   // what fail2ban's counts beyond that
}

// meaningOf a stock filter in a mode.
func meaningOf(name, mode string) meaning {
	switch name {
	case "ssh":
		return meaning{filters: []string{"sshd"}}
	case "sshd-ddos":
		return meaning{filters: []string{"sshd"}, mode: "ddos"}
	case "sshd-aggressive":
		return meaning{filters: []string{"sshd"}, mode: "aggressive"}
	case "postfix":
		return postfix(mode)
	case "postfix-rbl":
		return postfix("rbl")
	case "postfix-sasl", "sasl":
		return postfix("auth")
	}
	if other := renamed[name]; other != nil {
		return meaning{filters: other}
	}
	return meaning{filters: []string{name}}
}

// postfix has filters of its own here for the modes.
func postfix(mode string) meaning {
	m := meaning{filters: []string{"postfix-auth"}, mode: "normal"}
	switch mode {
	case "auth":
	case "rbl", "ddos":
		m.filters = []string{"postfix-" + mode}
	case "", "normal":
		m.filters = []string{"postfix-reject", "postfix"}
	default:
		m.missing = "mail that postfix rejects: see postfix-rbl and postfix-ddos of exilectl list-filters"
	}
	return m
}

// renamed are filters that have another name here.
var renamed = map[string][]string{
	"bitwarden":         {"vaultwarden"},
	"courier-auth":      {"courier", "courier-auth"},
	"courier-smtp":      {"courier", "courier-smtp"},
	"cyrus-imap":        {"cyrus", "cyrus-imap"},
	"drupal-auth":       {"drupal", "drupal-auth"},
	"ejabberd-auth":     {"ejabberd", "ejabberd-auth"},
	"haproxy-http-auth": {"haproxy", "haproxy-http-auth"},
	"mongodb-auth":      {"mongodb", "mongodb-auth"},
	"mysqld-auth":       {"mariadb", "mysql"},
	"named-refused":     {"named", "named-refused"},
	"phpmyadmin-syslog": {"phpmyadmin", "phpmyadmin-syslog"},
	"roundcube-auth":    {"roundcube", "roundcube-auth"},
	"sogo-auth":         {"sogo", "sogo-auth"},
	"webmin-auth":       {"webmin", "webmin-auth"},
}

// similar are filters that many people wrote, and what does the same here.
var similar = map[string]string{
	"apache-404":         "web-status",
	"f2b-loop":           "recidive",
	"http-get-dos":       "web-rate",
	"nginx-401":          "web-status",
	"nginx-404":          "web-status",
	"nginx-4xx":          "web-status",
	"nginx-auth":         "nginx-http-auth",
	"nginx-badrequests":  "nginx-bad-request",
	"nginx-conn-limit":   "nginx-limit-req",
	"nginx-dos":          "web-rate",
	"nginx-req-limit":    "nginx-limit-req",
	"portscan":           "port-scan",
	"ufw-port-scan":      "port-scan",
	"wordpress":          "wordpress-login",
	"wordpress-auth":     "wordpress-login",
	"wordpress-hard":     "wordpress-plugin",
	"wordpress-soft":     "wordpress-plugin",
	"wordpress-wp-login": "wordpress-login",
	"wp-login":           "wordpress-login",
	"xmlrpc":             "wordpress-xmlrpc",
}

// The actions of fail2ban, by what they do.
const (
	// banPorts do nothing but ban, and banEverything do not even look at ports.
	banPorts = `bsd-ipfw firewallcmd-ipset firewallcmd-multiport firewallcmd-new firewallcmd-rich-logging firewallcmd-rich-rules ipfw
		iptables iptables-ipset iptables-ipset-proto4 iptables-ipset-proto6 iptables-multiport iptables-multiport-log iptables-new
		iptables-xt_recent-echo nftables nftables-multiport npf pf`
	banEverything = `apf firewallcmd-allports hostsdeny ipfilter iptables-allports iptables-ipset-proto6-allports nftables-allports
		osx-afctl osx-ipfw route shorewall shorewall-ipset-proto6 symbiosis-blacklist-allports ufw`
	reports = `abuseipdb badips blocklist_de complain dshield ipthreat mynetwatchman xarf-login-attack`
	// elsewhereBanned are actions that ban in another program.
	elsewhereBanned = `cloudflare cloudflare-token netscaler nginx-block-map nsupdate`
)

// use is what an action is for.
type use int

const (
	useOwn use = iota // nobody here knows
	useBan
	useMail
	useReport
	useElsewhere
	useNothing
)

func useOf(c call) use {
	in := func(list string) bool { return slices.Contains(strings.Fields(list), c.name) }
	switch {
	case in(banPorts), in(banEverything):
		return useBan
	case in(reports):
		return useReport
	case in(elsewhereBanned):
		return useElsewhere
	case c.name == "dummy":
		return useNothing
	case c.name == "apprise", c.name == "smtp.py", c.name == "mail", c.name == "sendmail", strings.HasPrefix(c.name, "mail-"), strings.HasPrefix(c.name, "sendmail-"):
		return useMail
	}
	return useOwn
}

// closesAll reports whether a ban by that action is one from every port.
func closesAll(c call) bool {
	return slices.Contains(strings.Fields(banEverything), c.name) || c.options["type"] == "allports"
}

// backendOf is the backend that bans as the action does; empty: none in particular.
func backendOf(c call) string {
	switch {
	case strings.HasPrefix(c.name, "nftables"):
		return "nftables"
	case strings.HasPrefix(c.name, "iptables-ipset"):
		return "ipset"
	case c.name == "route":
		return "route"
	}
	return "auto"
}

// portNumbers are the names of ports that people use and that /etc/services may lack.
var portNumbers = map[string]string{
	"ftp-data": "20", "ftps": "990", "ftps-data": "989", "imap2": "143", "imap3": "220", "sieve": "4190", "smtps": "465", "ssmtp": "465",
	"submission": "587", "submissions": "465", "imaps": "993", "pop3s": "995", "sip": "5060", "sips": "5061", "socks": "1080",
}
