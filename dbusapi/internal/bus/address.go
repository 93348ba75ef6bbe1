package bus

import (
	"context"
	"os"

	"github.com/godbus/dbus/v5"
)

// systemBus is where the bus is when DBUS_SYSTEM_BUS_ADDRESS does not say.
const systemBus = "unix:path=/run/dbus/system_bus_socket"

// Address returns the address to use; an empty one means the system bus.
func Address(address string) string {
	if address == "" {
		address = os.Getenv("DBUS_SYSTEM_BUS_ADDRESS")
	}
	if address == "" {
		address = systemBus
	}
	return address
}

// Connect joins the bus at address as a client does. The connection ends with ctx.
func Connect(ctx context.Context, address string, opts ...dbus.ConnOption) (*dbus.Conn, error) {
	return dbus.Connect(Address(address), append(opts, dbus.WithContext(ctx))...)
}
