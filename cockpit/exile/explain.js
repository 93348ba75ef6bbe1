// @ts-check
// Why an address is banned: what exiled says about it, and the log entries that its journal entry names.
import { cockpit, el, fact, moment } from "./dom.js";

/** @typedef {import("./daemon.js").Ban} Ban */

const BAN = "2929576456a04afc970b3018a1aa88c1"; // the message ID of a ban

/**
 * Parses a reason: "name: "x", on which 3 networks failed, 5 of 5 points in 1d, offence 1, step 1". Attackers choose the names
 * in it, but these are quoted and come first: so both patterns match the last occurrence.
 * @param {string} reason
 */
export function parse(reason) {
    const end = /^(.*), offence (\d+), step (\d+)(; .*)?$/s.exec(reason);
    if (!end)
        return { evidence: reason };
    const points = /^(.*)[:,] (\d+(?:\.\d+)? of .*)$/s.exec(end[1]);
    return { evidence: (points?.[1] ?? end[1]) + (end[4] ?? ""), points: points?.[2], step: end[3] };
}

/**
 * @param {import("./daemon.js").Daemon} daemon @param {Ban} ban
 * @returns {Promise<HTMLElement[]>} the lines of a list of facts
 */
export async function explain(daemon, ban) {
    const [[json], behind] = await Promise.all([daemon.call("DescribeAddress", ban.address), entries(ban)]);
    const known = JSON.parse(json);
    const record = known.bans.find((/** @type {Ban} */ b) => b.jail === ban.jail && b.address === ban.address);
    const reason = record?.reason ?? "";
    // A person may write something that looks like a reason of the detector.
    const { evidence, points, step } = record?.origin === "manual" ? { evidence: reason, points: undefined, step: undefined } : parse(reason);
    return [
        ...(ban.simulated ? fact("Simulated", "the jail only simulates: the address is not stopped") : []),
        ...fact("Evidence", evidence || "none: nobody gave a reason"),
        ...(points ? fact("Points", points) : []),
        ...(record ? fact("Offence", String(record.offence)) : []),
        ...(step ? fact("Ladder step", step) : []),
        ...fact("Origin", ban.origin),
        ...fact("Until", ban.until === Infinity ? "for ever" : moment(ban.until)),
        ...(known.protected ? fact("Protected", known.protected) : []),
        ...fact("Details", ...known.detail),
        ...fact("Log entries", ...behind),
    ];
}

/**
 * The journal entry of a ban lists the entries behind it, one per line: time, rule, cursor. This asks only for exiled's own
 * entries, because anybody may log the message ID.
 * @param {Ban} ban @returns {Promise<(Node | string)[]>}
 */
async function entries(ban) {
    const command = ["journalctl", "-q", "-a", "-o", "json", "-n", "1", "--output-fields=EXILE_EVIDENCE", "_SYSTEMD_UNIT=exiled.service",
        "MESSAGE_ID=" + BAN, "EXILE_JAIL=" + ban.jail, "EXILE_ADDRESS=" + ban.address];
    try {
        const out = await cockpit.spawn(command, { superuser: "try", err: "message" });
        const text = out ? JSON.parse(out).EXILE_EVIDENCE : "";
        return typeof text === "string" ? text.split("\n").filter(Boolean).map(entry) : [];
    } catch {
        return []; // those who may not read the journal see the rest
    }
}

/** @param {string} line */
function entry(line) {
    const [time, rule, cursor] = line.split(" ");
    return el("span", { title: cursor ?? "" }, `${moment(Date.parse(time) * 1000)} ${rule ?? ""}`);
}
