/* What exile does, with libsystemd: read the MESSAGE of all entries of sshd in a directory. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-journal.h>

int main(int argc, char **argv) {
        sd_journal *j;
        uint64_t n = 0, bytes = 0;
        const void *d;
        size_t l;

        /* The match of exile's sshd jail, and of what journald suppressed. NULL: or. */
        static const char *const match[] = {
                "_UID=0", "SYSLOG_IDENTIFIER=sshd", "SYSLOG_IDENTIFIER=sshd-session", "SYSLOG_IDENTIFIER=sshd-auth", NULL,
                "_UID=0", "_SYSTEMD_UNIT=ssh.service", "_SYSTEMD_UNIT=sshd.service", NULL,
                "MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e", "_TRANSPORT=driver",
        };

        if (argc != 2 || sd_journal_open_directory(&j, argv[1], 0) < 0)
                return 1;
        for (size_t i = 0; i < sizeof(match) / sizeof(*match); i++)
                if (match[i])
                        sd_journal_add_match(j, match[i], 0);
                else
                        sd_journal_add_disjunction(j);
        while (sd_journal_next(j) > 0) {
                if (sd_journal_get_data(j, "MESSAGE", &d, &l) < 0)
                        continue;
                n++;
                bytes += l - strlen("MESSAGE=");
        }
        printf("%" PRIu64 " %" PRIu64 "\n", n, bytes);
        sd_journal_close(j);
        return 0;
}
