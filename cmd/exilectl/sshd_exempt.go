package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"exile/internal/control"
)

func newSSHDExemptCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "sshd-exempt",
		Short: "Write who is never banned as a line of sshd_config",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.attended(cmd.Context(), func(ctx context.Context, d daemon, c *console) error {
				jails, err := d.Jails(ctx)
				if err != nil {
					return failure(err, "list jails")
				}
				spared, err := o.exempt(jails)
				if err == nil {
					c.line("PerSourcePenaltyExemptList " + strings.Join(spared, ","))
				}
				return err
			})
		},
	}
}

// exempt returns the addresses that the jail of sshd, which is the first one, never bans.
func (o *options) exempt(jails []control.JailStatus) (all []string, err error) {
	if len(jails) == 0 || len(jails[0].Protected) == 0 {
		return nil, errors.New("nobody is in ignoreip, or you may not see who is: use sudo")
	}
	for _, word := range jails[0].Protected {
		if path, is := strings.CutPrefix(word, "file:"); is {
			if word, err = o.listed(path); err != nil {
				return nil, err
			}
		}
		for _, text := range strings.FieldsFunc(word, func(r rune) bool { return strings.ContainsRune(" \t\n,()", r) }) {
			if p, err := control.ParsePrefix(text); err == nil { // and not the name of a host before its addresses
				all = append(all, control.FormatPrefix(p))
			}
		}
	}
	return all, nil
}

// listed returns a file of ignoreip without its comments.
func (o *options) listed(path string) (string, error) {
	if o.bridge() != nil {
		return "", fmt.Errorf("file:%s is on another host: run exilectl there", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", failure(err, "read file:%s", path)
	}
	var text strings.Builder
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		text.WriteString(line + "\n")
	}
	return text.String(), nil
}
