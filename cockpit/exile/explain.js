// @ts-check
// Why an address is banned: what exiled says of it, and the log entries that its journal entry names.
import { cockpit, el, fact, moment } from "./dom.js";

/** @typedef {import("./daemon.js").Ban} Ban */

const BAN = "2929576456a04afc970b3018a1aa88c1"; // the message ID of a ban

/**
 * Takes a reason apart: "name: "x", on which 3 networks failed, 5 of 5 points in 1d, offence 1, step 1". Names in it are
 * chosen by attackers, but quoted, and what is looked for stands behind them: so both matches are the last ones.
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
    // A person may write what looks like a reason of the detector.
    const { evidence, points, step } = record?.origin === "manual" ? { evidence: reason, points: undefined, step: undefined } : parse(reason);
    return [
        ...fact("Evidence", evidence || "none: nobody gave a reason"),
        ...(points ? fact("Points", points) : []),
        ...(record ? fact("Offence", String(record.bans)) : []),
        ...(step ? fact("Ladder step", step) : []),
        ...fact("Origin", ban.origin),
        ...fact("Until", ban.until === Infinity ? "for ever" : moment(ban.until)),
        ...(known.protected ? fact("Protected", known.protected) : []),
        ...fact("Known of it", ...known.detail),
        ...fact("Log entries", ...behind),
    ];
}

/**
 * The entries behind a ban are in its journal entry, a line each: time, rule, cursor. Only exiled's own entries are asked
 * for: anybody may log the message ID.
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
        return []; // whoever may not read the journal sees the rest
    }
}

/** @param {string} line */
function entry(line) {
    const [time, rule, cursor] = line.split(" ");
    return el("span", { title: cursor ?? "" }, `${moment(Date.parse(time) * 1000)} ${rule ?? ""}`);
}
