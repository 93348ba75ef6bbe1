/* What exile does, with libsystemd: read the MESSAGE of all entries in a directory that match, as journalctl takes it. */
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

        if (argc < 2 || sd_journal_open_directory(&j, argv[1], 0) < 0)
                return 1;
        for (int i = 2; i < argc; i++)
                if (strcmp(argv[i], "+") != 0)
                        sd_journal_add_match(j, argv[i], 0);
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
