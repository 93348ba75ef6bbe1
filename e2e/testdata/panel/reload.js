// A new configuration has the jail simulate, and exiled says only that the configuration was read again.
client.signal("Reloading", true);
client.signal("Reloading", false);
let asked = await client.next("Describe");
while (client.calls.some(([method]) => method === "Describe"))
    asked = await client.next("Describe"); // the page asks from time to time, and only the last answer counts
asked[1]([JSON.stringify({
    state: "running", degraded: [], remedies: [], backend: "ipset", banned: 0, enforced: 0, failing: 1, version: "1",
    jails: [{ jail: "sshd", state: "simulating", detection: "threshold", banned: 3, failing: 1, bans: 9 }],
})]);
document.title = "reloaded";
