package config

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"exile/firewall"
)

// maxPorts limits what ranges expand to: every port of a jail is a separate element in the kernel.
const maxPorts = 64

// parsePorts reads "ssh", "22", "22,2222", "1000:1009", "53/udp" or a list of such. "all" alone is no limit: nil.
func parsePorts(v value) ([]firewall.Port, error) {
	words, err := parseWords(v)
	if err != nil {
		return nil, err
	}
	if len(words) == 1 && (words[0] == "all" || words[0] == "any" || words[0] == "0:65535") {
		return nil, nil
	}
	var ports []firewall.Port
	for _, word := range words {
		first, last, proto, err := parsePort(word)
		if err != nil {
			return nil, err
		}
		if len(ports)+int(last-first)+1 > maxPorts {
			return nil, fmt.Errorf("more than %d ports: use port: all", maxPorts)
		}
		for n := int(first); n <= int(last); n++ {
			ports = append(ports, firewall.Port{Proto: proto, Number: uint16(n)})
		}
	}
	return ports, nil
}

// parsePort reads one port or range of ports with its protocol, TCP unless it is named.
func parsePort(word string) (first, last uint16, proto uint8, err error) {
	name, network, _ := strings.Cut(word, "/")
	switch network {
	case "", "tcp":
		network, proto = "tcp", 6
	case "udp":
		proto = 17
	default:
		return 0, 0, 0, fmt.Errorf("port %q: the protocol must be tcp or udp", word)
	}
	from, to, isRange := strings.Cut(name, ":")
	if first, err = portNumber(network, from); err != nil || !isRange {
		return first, first, proto, err
	}
	if last, err = portNumber(network, to); err == nil && last < first {
		err = fmt.Errorf("port range %q ends before it begins", word)
	}
	return first, last, proto, err
}

// portNumber looks up a service name in /etc/services, without the network.
func portNumber(network, name string) (uint16, error) {
	if n, err := strconv.ParseUint(name, 10, 16); err == nil && n > 0 {
		return uint16(n), nil
	}
	if strings.ContainsAny(name[:min(1, len(name))], "abcdefghijklmnopqrstuvwxyz") {
		if n, err := net.LookupPort(network, name); err == nil && n > 0 {
			return uint16(n), nil
		}
	}
	return 0, fmt.Errorf("%q is not a port: a number from 1 to 65535, a service of /etc/services, or all", name)
}
