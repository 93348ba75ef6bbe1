package dbusapi

import (
	"context"
	"os"

	"github.com/godbus/dbus/v5"
)

// systemBus is where the bus is when DBUS_SYSTEM_BUS_ADDRESS does not say.
const systemBus = "unix:path=/run/dbus/system_bus_socket"

// connect joins the bus at address; empty means the system bus.
func connect(ctx context.Context, address string, opts ...dbus.ConnOption) (*dbus.Conn, error) {
	if address == "" {
		address = os.Getenv("DBUS_SYSTEM_BUS_ADDRESS")
	}
	if address == "" {
		address = systemBus
	}
	return dbus.Connect(address, append(opts, dbus.WithContext(ctx))...)
}
