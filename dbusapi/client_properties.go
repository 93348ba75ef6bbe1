package dbusapi

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

// Property is the name and value of a property, as it came: a string, a number, a bool, []string, or []any.
type Property struct {
	Name  string
	Value any
}

// Properties returns the properties of a jail or, with "", of the daemon, by name. An unknown jail is an error.
func (c *Client) Properties(ctx context.Context, jail string) ([]Property, error) {
	path, iface := managerPath, ManagerInterface
	if jail != "" {
		body, err := c.call(ctx, "GetJail", jail)
		if err != nil {
			return nil, err
		}
		if err := dbus.Store(body, &path); err != nil {
			return nil, fmt.Errorf("read reply of GetJail: %w", err)
		}
		iface = JailInterface
	}
	body, err := c.callObject(ctx, path, propertiesInterface, "GetAll", iface)
	if err != nil {
		return nil, err
	}
	var all map[string]dbus.Variant
	if err := dbus.Store(body, &all); err != nil {
		return nil, fmt.Errorf("read reply of GetAll: %w", err)
	}
	var out []Property
	for name, v := range all {
		out = append(out, Property{name, v.Value()})
	}
	slices.SortFunc(out, func(a, b Property) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// LogLevel returns the name of the daemon's log level.
func (c *Client) LogLevel(ctx context.Context) (string, error) {
	body, err := c.callObject(ctx, logPath, propertiesInterface, "Get", logInterface, "LogLevel")
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
	_, err := c.callObject(ctx, logPath, propertiesInterface, "Set", logInterface, "LogLevel", dbus.MakeVariant(name))
	return err
}
