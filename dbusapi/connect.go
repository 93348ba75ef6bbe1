package dbusapi

import (
	"context"
	"os"

	"github.com/godbus/dbus/v5"
)

// systemBus is where the bus is when DBUS_SYSTEM_BUS_ADDRESS does not say.
const systemBus = "unix:path=/run/dbus/system_bus_socket"

// busAddress is the address to use; empty means the system bus.
func busAddress(address string) string {
	if address == "" {
		address = os.Getenv("DBUS_SYSTEM_BUS_ADDRESS")
	}
	if address == "" {
		address = systemBus
	}
	return address
}

// connect joins the bus at address as a client does.
func connect(ctx context.Context, address string, opts ...dbus.ConnOption) (*dbus.Conn, error) {
	return dbus.Connect(busAddress(address), append(opts, dbus.WithContext(ctx))...)
}
