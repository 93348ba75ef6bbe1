// @ts-check
// The table of bans, one page at a time, newest first; a row opens its explanation.
import { $, arrange, button, cell, el, left, moment, value, write } from "./dom.js";
import { keyOf } from "./daemon.js";

/** @typedef {import("./daemon.js").Ban} Ban */

const ROWS = 100; // per page

export class Table {
    #from = 0;
    /** @type {{key: string, ban: Ban | null, row: HTMLElement, facts: HTMLElement} | null} the row that is open */
    #open = null;
    /** @type {Map<string, {row: HTMLElement, cells: Record<string, HTMLElement>, address: HTMLElement}>} */
    #rows = new Map();
    /** @type {Ban[]} the bans that are shown */
    #page = [];
    /** @type {number | undefined} */
    #timer;
    #daemon;
    #unban;
    #explain;

    /**
     * @param {import("./daemon.js").Daemon} daemon
     * @param {(ban: Ban, button: HTMLButtonElement) => void} unban
     * @param {(ban: Ban) => Promise<HTMLElement[]>} explain
     */
    constructor(daemon, unban, explain) {
        this.#daemon = daemon;
        this.#unban = unban;
        this.#explain = explain;
        $("filter").addEventListener("input", () => this.#turn(-this.#from));
        $("back").addEventListener("click", () => this.#turn(-ROWS));
        $("forth").addEventListener("click", () => this.#turn(ROWS));
        setInterval(() => this.#tick(), 1000);
    }

    /** Draws soon. A flood of signals must not become a flood of layouts: drawing takes at most a fifth of the time. */
    changed(wait = 100) {
        this.#timer ??= setTimeout(() => {
            const began = performance.now();
            this.#timer = undefined;
            this.#draw();
            if (performance.now() - began > 50)
                this.#rest(4 * (performance.now() - began));
        }, wait);
    }

    /** Draws nothing until wait has passed, then everything once. @param {number} wait */
    #rest(wait) {
        this.#timer = setTimeout(() => { this.#timer = undefined; this.changed(0) }, wait);
    }

    /** @param {number} by */
    #turn(by) {
        this.#from += by;
        this.#draw();
    }

    #draw() {
        const filter = value("filter").toLowerCase();
        const found = [...this.#daemon.bans.values()]
                .filter(b => !filter || [b.address, b.jail, b.origin].some(text => text.toLowerCase().includes(filter)))
                .sort((a, b) => b.since - a.since || (keyOf(a) < keyOf(b) ? -1 : 1));
        this.#from = Math.max(0, Math.min(this.#from, Math.floor((found.length - 1) / ROWS) * ROWS));
        this.#page = found.slice(this.#from, this.#from + ROWS);
        const last = this.#from + this.#page.length;
        write($("shown"), found.length ? `${this.#from + 1}–${last} of ${found.length}` : filter ? "None found" : "Nobody is banned");
        $("back").toggleAttribute("disabled", !this.#from);
        $("forth").toggleAttribute("disabled", last >= found.length);
        this.#arrange();
        this.#daemon.complete(this.#page);
    }

    #arrange() {
        const rows = new Map();
        const wanted = [];
        for (const ban of this.#page) {
            const key = keyOf(ban);
            const shown = this.#rows.get(key) ?? this.#row(key, ban);
            fill(shown.cells, ban);
            rows.set(key, shown);
            wanted.push(shown.row);
            if (this.#open?.key === key) {
                this.#explained(ban);
                wanted.push(this.#open.row);
            }
        }
        this.#rows = rows;
        if (this.#open && !rows.has(this.#open.key))
            this.#open = null;
        arrange($("rows"), wanted);
    }

    /** @param {string} key @param {Ban} ban */
    #row(key, ban) {
        const address = button(ban.address, "pf-m-link pf-m-inline exile-address", () => this.#toggle(key));
        address.setAttribute("aria-expanded", "false");
        const unban = button("Unban", "pf-m-secondary pf-m-small", b => this.#unban(this.#daemon.bans.get(key) ?? ban, b));
        unban.setAttribute("aria-label", "Unban " + ban.address);
        /** @type {Record<string, HTMLElement>} */
        const cells = {};
        for (const label of ["Jail", "Since", "Left", "Failures", "Bans"])
            cells[label] = cell(label);
        const row = el("tr", { class: "pf-v6-c-table__tr", "data-address": ban.address, "data-jail": ban.jail },
                       cell("Address", address), ...Object.values(cells),
                       el("td", { class: "pf-v6-c-table__td pf-v6-c-table__action" }, unban));
        return { row, cells, address };
    }

    /** @param {string} key */
    #toggle(key) {
        const was = this.#open;
        if (was)
            this.#rows.get(was.key)?.address.setAttribute("aria-expanded", "false");
        this.#open = null;
        if (was?.key !== key) {
            const facts = el("dl", { class: "exile-facts" });
            const row = el("tr", { class: "pf-v6-c-table__tr exile-why" }, el("td", { class: "pf-v6-c-table__td", colspan: "7" }, facts));
            this.#open = { key, ban: null, row, facts };
            this.#rows.get(key)?.address.setAttribute("aria-expanded", "true");
        }
        this.#arrange();
    }

    /** Explains the open row, and again if its ban has changed. @param {Ban} ban */
    async #explained(ban) {
        const open = this.#open;
        if (!open || open.ban === ban)
            return;
        open.ban = ban;
        const facts = await this.#explain(ban);
        if (open.ban === ban)
            open.facts.replaceChildren(...facts);
    }

    #tick() {
        for (const ban of this.#page) {
            const cells = this.#rows.get(keyOf(ban))?.cells;
            if (cells)
                write(cells.Left, left(ban.until));
        }
    }
}

/** @param {Record<string, HTMLElement>} cells @param {Ban} ban */
function fill(cells, ban) {
    write(cells.Jail, ban.simulated ? ban.jail + " (simulated)" : ban.jail);
    write(cells.Since, moment(ban.since));
    write(cells.Left, left(ban.until));
    write(cells.Failures, String(ban.failures));
    write(cells.Bans, ban.offence ? String(ban.offence) : "–");
}
