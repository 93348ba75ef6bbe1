package python

import "slices"

// maxVariants is how many expressions may be made of one.
const maxVariants = 32

// Variants writes out the branches that have one of the marks, so that each mark is in the sequence itself. What cannot be without a mark,
// such as an address that is optional, is there in both forms.
func Variants(n *Node, mark func(*Node) bool) ([][]*Node, error) {
	if !n.Has(mark) || mark(n) {
		return [][]*Node{{n}}, nil
	}
	switch n.Op {
	case Concat:
		return product(n.Sub, mark)
	case Group, Alternate:
		var all [][]*Node
		for _, sub := range n.Sub {
			more, err := Variants(sub, mark)
			if err != nil {
				return nil, err
			}
			all = append(all, more...)
		}
		return all, limited(all)
	case Repeat:
		if n.Max != 1 {
			break
		}
		all, err := Variants(n.Sub[0], mark)
		if n.Min == 0 {
			all = append(all, nil)
		}
		return all, err
	default:
	}
	return nil, refuse("it repeats the address, or what must be the line's beginning", "write it once")
}

func limited(all [][]*Node) error {
	if len(all) > maxVariants {
		return refuse("it has too many forms", "write a line for each")
	}
	return nil
}

func product(nodes []*Node, mark func(*Node) bool) ([][]*Node, error) {
	all := [][]*Node{nil}
	for _, n := range nodes {
		parts, err := Variants(n, mark)
		if err != nil {
			return nil, err
		}
		var next [][]*Node
		for _, a := range all {
			for _, b := range parts {
				next = append(next, append(slices.Clone(a), b...))
			}
		}
		if all = next; limited(all) != nil {
			return nil, limited(all)
		}
	}
	return all, nil
}

// Ended says of a sequence at whose end fail2ban's line has a line feed the same for a line without one.
func Ended(nodes []*Node) []*Node {
	if len(nodes) == 0 {
		return nodes
	}
	last, closed := len(nodes)-1, nodes[len(nodes)-1].Op == End
	if closed {
		last--
	}
	if last < 0 {
		return nodes
	}
	out := slices.Clone(nodes)
	out[last] = ended(nodes[last])
	return out
}

// ended returns a node that may also end with the line feed that is not there.
func ended(n *Node) *Node {
	switch n.Op {
	case Class:
		if re := members(n); re != nil && re.MatchString("\n") {
			return &Node{Op: Alternate, Sub: []*Node{n, {Op: End}}}
		}
	case Repeat:
		if re := members(n.Sub[0]); n.Min > 0 && re != nil && re.MatchString("\n") {
			short := *n
			if short.Min--; short.Max > 0 {
				short.Max--
			}
			ending := []*Node{&short, {Op: End}}
			if short.Max == 0 {
				ending = ending[1:]
			}
			return &Node{Op: Alternate, Sub: []*Node{n, {Op: Concat, Sub: ending}}}
		}
	case Concat, Group, Alternate:
		out := *n
		out.Sub = slices.Clone(n.Sub)
		for i, sub := range n.Sub {
			if n.Op != Concat || i == len(n.Sub)-1 {
				out.Sub[i] = ended(sub)
			}
		}
		return &out
	default:
	}
	return n
}
