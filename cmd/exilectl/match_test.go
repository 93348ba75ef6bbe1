package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMatch runs the scenarios of the verb that needs no daemon.
func TestMatch(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{Dir: "testdata/match", RequireExplicitExec: true})
}
