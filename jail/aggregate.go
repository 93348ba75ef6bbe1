package jail

// Aggregate says when many banned addresses are replaced by the prefix around them.
type Aggregate struct {
	IPv4 int // banned addresses of a /24 that make it a ban of the /24; 0: never
	IPv6 int // banned /64 of a /56, or /56 worth of them of a /48, that make it a ban of the wider one; 0: never
}
