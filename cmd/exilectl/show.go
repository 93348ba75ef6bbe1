package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"exile/dbusapi/client"
)

func newShowCommand(o *options) *cobra.Command {
	var names, only []string
	var value, all bool
	cmd := &cobra.Command{
		Use:               "show [JAIL...]",
		Short:             "Show properties of the daemon or of jails, for programs",
		ValidArgsFunction: completeJails(o),
		RunE: func(cmd *cobra.Command, jails []string) error {
			if len(jails) == 0 {
				jails = []string{""}
			}
			v := propertyView{names: append(names, only...), bare: value || len(only) > 0, all: all}
			return o.query(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				for i, jail := range jails {
					if i > 0 && !v.bare && !c.wantJSON() {
						c.line("")
					}
					props, err := d.Properties(ctx, jail)
					if err != nil {
						return failure(err, "show %s", cmp.Or(jail, "the daemon"))
					}
					if err := v.print(c, props); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.StringSliceVarP(&names, "property", "p", nil, "Show only the properties `NAME`")
	f.StringSliceVarP(&only, "value-of", "P", nil, "Equivalent to --value --property=`NAME`")
	completeFlag(cmd, "property", completeProperties(o))
	completeFlag(cmd, "value-of", completeProperties(o))
	f.BoolVar(&value, "value", false, "Show only the values")
	f.BoolVarP(&all, "all", "a", false, "Show empty properties, too")
	return cmd
}

// propertyView says which properties are printed, and how.
type propertyView struct {
	names []string // empty: all
	bare  bool     // values without names
	all   bool     // also empty ones
}

func (v propertyView) wants(name string, value any) bool {
	if len(v.names) > 0 {
		return slices.Contains(v.names, name)
	}
	return v.all || propertyText(value) != ""
}

func (v propertyView) print(c *console, props []client.Property) error {
	chosen := map[string]any{}
	for _, p := range props {
		if !v.wants(p.Name, p.Value) {
			continue
		}
		chosen[p.Name] = p.Value
		switch {
		case c.wantJSON():
		case v.bare:
			c.line(clean(propertyText(p.Value)))
		default:
			c.line(clean(p.Name), "=", clean(propertyText(p.Value)))
		}
	}
	if c.wantJSON() {
		return c.document(chosen)
	}
	return nil
}

// propertyText writes lists and structures separated by spaces.
func propertyText(v any) string {
	switch v := v.(type) {
	case []string:
		return strings.Join(v, " ")
	case []any:
		words := make([]string, len(v))
		for i, w := range v {
			words[i] = propertyText(w)
		}
		return strings.Join(words, " ")
	}
	return fmt.Sprint(v)
}
