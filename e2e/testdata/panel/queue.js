// exiled is degraded. The bans are listed in two pages; before the second, three signals come.
const UNTIL = (Date.now() + 36.5 * 3600000) * 1000;
const ban = (address, simulated = false) => ["sshd", address, 1e15, UNTIL, 4, 2, "journal", simulated];

client.hear.owner(null, ":1.1");
(await client.next("Describe"))[1]([JSON.stringify({
    state: "degraded", degraded: ["blind:sshd"], remedies: ["Look at <b>LogLevel</b>."], backend: "ipset", banned: 3, enforced: 2,
    failing: 1, version: "1", jails: [{ jail: "sshd", state: "running", detection: "threshold", banned: 3, failing: 1, bans: 9 }],
})]);
(await client.next("Subscribe"))[1]([]);
(await client.next("ListBans"))[1]([[ban("192.0.2.1"), ban("192.0.2.2", true)], "sshd/192.0.2.2"]);
const [args, answer] = await client.next("ListBans");
client.signal("BanRemoved", "sshd", "192.0.2.1", "unban", false);
client.signal("BanNew", "sshd", "192.0.2.3", UNTIL, 4, "journal", "", false); // the page has it, too
client.signal("BanNew", "sshd", "192.0.2.4", -1, 7, "journal", "", false);
answer([[ban("192.0.2.3")], ""]);
// What the last signal does not say.
(await client.next("QueryAddress"))[1]([[["sshd", "192.0.2.4", 1e15, 2 ** 64, 7, 3, "journal", false]], {}]);
document.title = args.join();
