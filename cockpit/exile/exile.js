// @ts-check
// The page: exiled's state, its jails and its bans. There is no build step: the browser runs these files.
import { $, cell, cockpit, el, fact, value, words } from "./dom.js";
import { Daemon } from "./daemon.js";
import { Table } from "./table.js";
import { explain } from "./explain.js";

const admin = cockpit.permission({ admin: true });

/* Errors are shown at the top until something succeeds. */

/** @param {string} kind "danger" or "warning" @param {string} title @param {string} text @param {string} [name] for programs */
function alertBox(kind, title, text, name = "") {
    return el("div", { class: `pf-v6-c-alert pf-m-inline pf-m-${kind}`, role: "alert", "data-error": name },
              el("p", { class: "pf-v6-c-alert__title" }, title),
              el("div", { class: "pf-v6-c-alert__description" }, text));
}

/** @type {HTMLElement | null} */
let failure = null;
/** @type {HTMLElement[]} */
let troubles = [];

const drawAlerts = () => $("alerts").replaceChildren(...failure ? [failure] : [], ...troubles);

/** @param {string} title @param {any} error */
function failed(title, error) {
    failure = alertBox("danger", title, words(error, admin.allowed === true), error?.name ?? error?.problem ?? "");
    drawAlerts();
}

/** @param {string} title of the alert if it fails @param {() => Promise<any>} act @returns {Promise<boolean>} whether it succeeded */
async function attempt(title, act) {
    failure = null;
    drawAlerts();
    try {
        await act();
        return true;
    } catch (error) {
        failed(title, error);
        return false;
    }
}

/* The state of the daemon */

/** @param {boolean} running */
function running(running) {
    $("absent").hidden = running;
    $("cards").hidden = $("list").hidden = !running;
    failure = null;
    troubles = [];
    drawAlerts();
}

/** @param {any} s what Describe returns */
function status(s) {
    if (s.degraded.join() !== troubles.map(box => box.dataset.error).join()) { // do not read out again what is already shown
        troubles = s.degraded.map((/** @type {string} */ reason, /** @type {number} */ i) =>
            alertBox("warning", "Degraded: " + reason, s.remedies[i] ?? "", reason));
        drawAlerts();
    }
    document.body.dataset.state = s.state;
    $("service").replaceChildren(
        ...fact("State", s.state),
        ...fact("Backend", s.backend_reason ? `${s.backend}: ${s.backend_reason}` : s.backend),
        ...fact("Bans", `${s.banned} wanted, ${s.enforced} in the kernel`),
        ...fact("Failing", s.failing === 1 ? "1 address" : `${s.failing} addresses`),
        ...fact("Version", s.version));
    $("jails").replaceChildren(...s.jails.map(jailRow));
    choose(s.jails.map((/** @type {any} */ j) => j.jail));
}

/** @param {any} j */
function jailRow(j) {
    return el("tr", { class: "pf-v6-c-table__tr" }, cell("Jail", j.jail), cell("State", j.state), cell("Detection", j.detection),
              cell("Banned", String(j.banned)), cell("Failing", String(j.failing)), cell("Total", String(j.bans)));
}

/** Offers the jails in the form, and keeps the one that was chosen. @param {string[]} names */
function choose(names) {
    const select = /** @type {HTMLSelectElement} */ ($("jail"));
    if (names.join("\n") === [...select.options].map(o => o.value).join("\n"))
        return;
    const chosen = select.value;
    select.replaceChildren(...names.map(name => el("option", { value: name }, name)));
    if (names.includes(chosen))
        select.value = chosen;
}

/* Wiring */

const daemon = new Daemon({ running, status, failed, bans: () => table.changed() });

const table = new Table(daemon, async (ban, b) => {
    b.disabled = true;
    await attempt(`Could not unban ${ban.address}`, () => daemon.call("Unban", ban.jail, ban.address, 0));
    b.disabled = false;
}, ban => explain(daemon, ban).catch(error => fact("Unknown", words(error, admin.allowed === true))));

$("ban").addEventListener("submit", async event => {
    event.preventDefault();
    const [address, duration] = [value("address"), value("duration")];
    const forever = duration === "forever"; // a flag, because JavaScript cannot send the largest 64-bit number
    const done = await attempt(`Could not ban ${address}`, () =>
        daemon.call("Ban", value("jail"), address, forever ? 0 : Number(duration) * 1e6, value("reason"), forever ? 1 : 0));
    if (done)
        /** @type {HTMLFormElement} */ ($("ban")).reset();
});

$("start").addEventListener("click", () =>
    attempt("Could not start exiled", () => cockpit.spawn(["systemctl", "start", "exiled.service"], { superuser: "try", err: "message" })));

/** @type {boolean | null} */
let was = null;
admin.addEventListener("changed", () => {
    if (admin.allowed === null || admin.allowed === was)
        return;
    if (was !== null)
        daemon.reconnect();
    was = admin.allowed;
});

// The bus does not announce changes of the counters.
setInterval(() => { if (!document.hidden && !$("cards").hidden) daemon.refresh() }, 10000);

daemon.watch();
