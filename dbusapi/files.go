package dbusapi

import (
	"encoding/json"
	"io"

	"exile/dbusapi/internal/server"
	"exile/internal/control"
)

// listBansByFD writes all bans, one JSON object a line, into a memory file.
func (r *rows) listBansByFD(c *server.Call) ([]any, error) {
	page, err := page(control.Page{Jail: c.Str(0), Max: control.PageMax}, c.U64(1))
	if err != nil {
		return nil, err
	}
	return c.ReplyFile("exile-bans", func(w io.Writer) error {
		enc := json.NewEncoder(w)
		return control.EachBan(c.Context(), r.Daemon, page, func(b control.Ban) error { return enc.Encode(control.Document(&b)) })
	})
}

// exportStateByFD writes all that the daemon keeps on disk.
func (r *rows) exportStateByFD(c *server.Call) ([]any, error) {
	if _, err := c.Flags(0, 0); err != nil {
		return nil, err
	}
	return c.ReplyFile("exile-state", func(w io.Writer) error { return r.Daemon.ExportState(c.Context(), w) })
}
