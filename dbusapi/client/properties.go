package client

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/godbus/dbus/v5"

	"exile/dbusapi/internal/bus"
	"exile/dbusapi/internal/exile1"
)

// Property is the name and the value of a property: a string, a number, a bool, []string, or []any.
type Property struct {
	Name  string
	Value any
}

// Properties returns the properties of a jail or, with "", of the daemon, by name. An unknown jail is an error.
func (c *Client) Properties(ctx context.Context, jail string) ([]Property, error) {
	path, iface := exile1.ManagerPath, exile1.ManagerInterface
	if jail != "" {
		body, err := c.call(ctx, "GetJail", jail)
		if err != nil {
			return nil, err
		}
		if err := dbus.Store(body, &path); err != nil {
			return nil, fmt.Errorf("read reply of GetJail: %w", err)
		}
		iface = exile1.JailInterface
	}
	body, err := c.callObject(ctx, path, bus.Properties, "GetAll", iface)
	if err != nil {
		return nil, err
	}
	var all map[string]dbus.Variant
	if err := dbus.Store(body, &all); err != nil {
		return nil, fmt.Errorf("read reply of GetAll: %w", err)
	}
	var out []Property
	for _, name := range slices.Sorted(maps.Keys(all)) { // a sort for a type of its own is 15 kB of the program
		out = append(out, Property{name, all[name].Value()})
	}
	return out, nil
}

// LogLevel returns the name of the daemon's log level.
func (c *Client) LogLevel(ctx context.Context) (string, error) {
	body, err := c.callObject(ctx, bus.LogControlPath, bus.Properties, "Get", bus.LogControl, "LogLevel")
	if err != nil {
		return "", err
	}
	var level string
	if err := dbus.Store(body, &level); err != nil {
		return "", fmt.Errorf("read reply of Get: %w", err)
	}
	return level, nil
}

// SetLogLevel sets it, to one of LogLevelNames.
func (c *Client) SetLogLevel(ctx context.Context, name string) error {
	_, err := c.callObject(ctx, bus.LogControlPath, bus.Properties, "Set", bus.LogControl, "LogLevel", dbus.MakeVariant(name))
	return err
}

// LogLevelNames lists the names that the log level can have.
func LogLevelNames() []string { return exile1.LogLevelNames() }
