package main

import (
	"maps"
	"slices"
)

// graph says for each file which others it uses.
type graph map[string]map[string]bool

// size is the number of uses.
func (g graph) size() (n int) {
	for _, used := range g {
		n += len(used)
	}
	return n
}

// order returns the files, users first, so that few uses go against it: the greedy order of Eades, Lin and Smyth (1993),
// improved by moving files as long as that helps. The same graph always gives the same order.
func (g graph) order() []string {
	order := g.greedy()
	for better := true; better; {
		better = false
		for _, file := range slices.Sorted(maps.Keys(g)) {
			from := slices.Index(order, file)
			if to := g.bestPlace(order, from); to != from {
				order = slices.Insert(slices.Delete(order, from, from+1), to, file)
				better = true
			}
		}
	}
	return order
}

// greedy removes files that no other file uses, for the head of the order, and files that use no other, for its tail; if
// there is neither, the file whose uses exceed its users the most goes to the head.
func (g graph) greedy() []string {
	var head, tail []string
	rest := slices.Sorted(maps.Keys(g))
	for len(rest) > 0 {
		best, most, last := 0, -len(g), -1
		for i, file := range rest {
			uses, users := g.among(file, rest)
			if uses == 0 {
				last = i
				break
			}
			if users == 0 {
				uses = len(g) // before all others
			}
			if uses-users > most {
				best, most = i, uses-users
			}
		}
		if last >= 0 {
			best, tail = last, append(tail, rest[last])
		} else {
			head = append(head, rest[best])
		}
		rest = slices.Delete(rest, best, best+1)
	}
	slices.Reverse(tail)
	return append(head, tail...)
}

// among counts the files of the rest that the file uses, and those that use it.
func (g graph) among(file string, rest []string) (uses, users int) {
	for _, other := range rest {
		if g[file][other] {
			uses++
		}
		if g[other][file] {
			users++
		}
	}
	return uses, users
}

// bestPlace returns a better place for the file at that place, by the number of uses against the order, or the same place if
// there is none.
func (g graph) bestPlace(order []string, from int) int {
	best, gain := from, 0
	for _, step := range []int{-1, 1} {
		sum := 0
		for to := from + step; to >= 0 && to < len(order); to += step {
			// Passing a neighbour reverses the uses between them.
			if g[order[to]][order[from]] {
				sum += step
			}
			if g[order[from]][order[to]] {
				sum -= step
			}
			if sum > gain {
				best, gain = to, sum
			}
		}
	}
	return best
}

// against counts the uses of a file by one that comes later.
func (g graph) against(order []string) (n int) {
	for i, user := range order {
		for _, used := range order[:i] {
			if g[user][used] {
				n++
			}
		}
	}
	return n
}

// inCycles counts the uses between files that lead back to each other.
func (g graph) inCycles() (n int) {
	reached := make(map[string]map[string]bool)
	for file := range g {
		reached[file] = make(map[string]bool)
		g.reach(file, reached[file])
	}
	for user, all := range g {
		for used := range all {
			if reached[used][user] {
				n++
			}
		}
	}
	return n
}

// reach adds what a file uses, and what that uses, to the set.
func (g graph) reach(file string, set map[string]bool) {
	for used := range g[file] {
		if !set[used] {
			set[used] = true
			g.reach(used, set)
		}
	}
}
