# Debian's zsh looks for the completions of packages in its own folder, and in /usr/local in the common one.
ZSH := $(if $(and $(filter /usr,$(PREFIX)),$(wildcard /etc/debian_version)),vendor-completions,site-functions)

# Where each file is installed below PREFIX, as SOURCE:DESTINATION. To add a file, put it in its folder.
to = $(foreach f,$(wildcard $(1)),$(f):$(2)/$(notdir $(f)))

FILES := $(BIN)/exiled:lib/exile/exiled $(BIN)/exiled-accounts:lib/exile/exiled-accounts $(BIN)/exiled-names:lib/exile/exiled-names $(BIN)/exiled-logs:lib/exile/exiled-logs $(BIN)/exiled-actions:lib/exile/exiled-actions $(BIN)/exiled-lists:lib/exile/exiled-lists $(BIN)/exilectl:bin/exilectl \
  $(call to,units/systemd/*.service units/systemd/*.socket units/systemd/*.path units/systemd/*.timer,lib/systemd/system) \
  $(foreach n,ssh sshd,$(call to,units/$(n).service.d/*.conf,lib/systemd/system/$(n).service.d)) \
  $(call to,units/sysusers.d/*.conf,lib/sysusers.d) \
  $(call to,units/modules-load.d/*.conf,lib/modules-load.d) \
  $(call to,units/catalog/*.catalog,lib/systemd/catalog) \
  $(call to,units/dbus/*.conf,share/dbus-1/system.d) \
  $(call to,units/dbus/*.service,share/dbus-1/system-services) \
  $(call to,units/dbus/*.xml,share/dbus-1/interfaces) \
  $(call to,units/polkit/*.policy,share/polkit-1/actions) \
  $(call to,units/config/*.yaml,lib/exile) \
  $(call to,units/config/*.json,share/exile) \
  $(patsubst %:share/bash-completion/completions/exilectl.bash,%:share/bash-completion/completions/exilectl,\
    $(call to,units/completions/*.bash units/completions/exilectl,share/bash-completion/completions)) \
  $(call to,units/completions/_*,share/zsh/$(ZSH)) \
  $(call to,units/completions/*.fish,share/fish/vendor_completions.d) \
  $(call to,cockpit/exile/*,share/cockpit/exile) \
  $(call to,README.md,share/doc/exile) \
  $(call to,units/examples/*.*,share/doc/exile/examples) \
  $(call to,units/examples/actions/*,share/doc/exile/examples/actions) \
  $(call to,units/examples/lists/*,share/doc/exile/examples/lists) \
  $(call to,units/examples/edge/*,share/doc/exile/examples/edge) \
  $(foreach d,defaults handlers tasks,$(call to,units/examples/ansible/$(d)/*,share/doc/exile/examples/ansible/$(d))) \
  $(call to,docs/monitoring/README.md docs/monitoring/alerts.yaml docs/monitoring/fail2ban.yaml docs/monitoring/grafana.json,share/doc/exile/monitoring) \
  $(foreach n,1 5 7 8,$(call to,docs/man/*.$(n),share/man/man$(n)))

# Packages beside exile's own: what each has, in the same form. None of it is in exile's own. units/package has NAME.yaml for each.
COMPANIONS := exile-fail2ban-compat exile-lapi
FILES.exile-fail2ban-compat := $(BIN)/fail2ban-client:bin/fail2ban-client docs/man/fail2ban-client.1:share/man/man1/fail2ban-client.1
FILES.exile-lapi := $(BIN)/exile-lapi:bin/exile-lapi units/lapi/exile-lapi.conf:lib/sysusers.d/exile-lapi.conf docs/man/exile-lapi.8:share/man/man8/exile-lapi.8 \
  $(call to,units/lapi/*.service units/lapi/*.socket,lib/systemd/system)

FILES := $(filter-out $(foreach c,$(COMPANIONS),$(FILES.$(c))),$(FILES))
