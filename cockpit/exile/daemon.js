// @ts-check
// exiled over the bus: its current bans, and the calls. Views read this and are told when it changes.
import { cockpit } from "./dom.js";

const PATH = "/org/exile1";
const MANAGER = "org.exile1.Manager";
const PAGE = 1000; // bans in one reply

/**
 * @typedef {object} Ban
 * @property {string} jail
 * @property {string} address an address or a network
 * @property {number} since microseconds since 1970
 * @property {number} until likewise; Infinity: for ever
 * @property {number} failures
 * @property {number | null} offence ordinal of this ban for the address, 1 is the first; null: not known yet
 * @property {string} origin
 * @property {boolean} simulated whether its jail only simulates, so that nobody is stopped
 */

/**
 * @typedef {object} Listener
 * @property {(running: boolean) => void} running exiled came or went
 * @property {(status: any) => void} status what Describe returns
 * @property {() => void} bans they have changed
 * @property {(title: string, error: any) => void} failed
 */

/** @param {{jail: string, address: string}} ban */
export const keyOf = ban => ban.jail + "/" + ban.address;

/** The C bridge sends the largest 64-bit number as -1, the Python bridge rounds it. @param {number} usec */
const time = usec => usec < 0 || usec >= 2 ** 63 ? Infinity : usec;

/** @param {any[]} wire (ssttuusb) @returns {Ban} */
const fromWire = ([jail, address, since, until, failures, offence, origin, simulated]) =>
    ({ jail, address, since, until: time(until), failures, offence, origin, simulated });

export class Daemon {
    /** @type {Map<string, Ban>} */
    bans = new Map();
    /** @type {any} */
    #client = null;
    /** @type {[string, any[]][] | null} signals that arrive while the bans are listed; null: nothing is being listed */
    #queue = null;
    #asked = 0; // how often the status was asked for
    #completing = false;
    #on;

    /** @param {Listener} listener */
    constructor(listener) {
        this.#on = listener;
    }

    /** Reconnects when administrative access came or went: channels do not move between the bridges by themselves. */
    reconnect() {
        if (this.#client)
            this.#connect();
    }

    #connect() {
        const before = this.#client;
        this.#client = null;
        before?.close();
        // With administrative access root's bridge calls exiled; without it the user's own does, and polkit decides.
        const client = cockpit.dbus("org.exile1", { bus: "system", superuser: "try" });
        this.#client = client;
        /** @param {(...args: any[]) => void} f */
        const current = f => (/** @type {any[]} */ ...args) => { if (this.#client === client) f(...args) };
        client.subscribe({ path: PATH, interface: MANAGER }, current((_path, _interface, member, args) => this.#hear(member, args)));
        // exiled sends at most one per second
        client.subscribe({ path: PATH, interface: "org.freedesktop.DBus.Properties", member: "PropertiesChanged" }, current(() => this.refresh()));
        client.addEventListener("owner", current((_event, owner) => owner ? this.#came() : this.#went()));
        client.addEventListener("close", current((_event, options) => {
            this.#client = null;
            this.#went();
            if (options.problem !== "not-found") // not-found: exiled is not running and cannot be started
                this.#on.failed("No connection to the system bus", options);
        }));
    }

    /** Connects when exiled runs, or once it does: connecting to its name would start it, which a page should not do. */
    watch() {
        const bus = cockpit.dbus("org.freedesktop.DBus", { bus: "system" });
        const path = "/org/freedesktop/DBus", name = "org.freedesktop.DBus";
        /** @param {unknown} runs */
        const seen = runs => {
            if (!runs)
                this.#went();
            else if (!this.#client)
                this.#connect();
        };
        bus.subscribe({ path, interface: name, member: "NameOwnerChanged", arg0: "org.exile1" },
                      (/** @type {any} */ _path, /** @type {any} */ _interface, /** @type {any} */ _member, /** @type {any[]} */ args) => seen(args[2]));
        bus.call(path, name, "NameHasOwner", ["org.exile1"])
            .then((/** @type {any[]} */ answer) => seen(answer[0]), (/** @type {any} */ error) => this.#on.failed("No connection to the system bus", error));
    }

    /** @param {string} method @param {any[]} args @returns {Promise<any[]>} */
    call(method, ...args) {
        return this.#client?.call(PATH, MANAGER, method, args) ?? Promise.reject({ name: "org.freedesktop.DBus.Error.ServiceUnknown" });
    }

    /** Asks for the status; only the answer to the last question counts. */
    async refresh() {
        const number = ++this.#asked;
        try {
            const [json] = await this.call("Describe");
            if (number !== this.#asked)
                return;
            const status = JSON.parse(json);
            this.#follow(status.jails);
            this.#on.status(status);
        } catch (error) {
            if (number === this.#asked)
                this.#on.failed("Could not read the state", error);
        }
    }

    /** Has the bans say what their jails do now: a new configuration may have changed that. @param {{jail: string, state: string}[]} jails */
    #follow(jails) {
        const simulates = new Map(jails.map(({ jail, state }) => [jail, state === "simulating"]));
        let changed = false;
        for (const [key, ban] of this.bans) {
            const simulated = simulates.get(ban.jail) ?? ban.simulated;
            if (simulated === ban.simulated)
                continue;
            this.bans.set(key, { ...ban, simulated }); // a new ban, so that an open explanation is written anew
            changed = true;
        }
        if (changed)
            this.#on.bans();
    }

    #went() {
        this.#asked++;
        this.#queue = null;
        this.bans = new Map();
        this.#on.running(false);
        this.#on.bans();
    }

    async #came() {
        this.#on.running(true);
        this.refresh();
        /** @type {[string, any[]][]} */
        const queue = this.#queue = [];
        try {
            // Subscribe before listing, so that nothing is missed in between. Never unsubscribe: all tabs of a session share
            // one connection to the bus.
            await this.call("Subscribe");
            const listed = await this.#list(() => this.#queue === queue);
            if (this.#queue !== queue)
                return;
            this.bans = listed;
        } catch (error) {
            if (this.#queue !== queue)
                return;
            this.#on.failed("Could not list the bans", error);
        }
        this.#queue = null;
        for (const [member, args] of queue)
            this.#hear(member, args);
        this.#on.bans();
    }

    /** @param {() => boolean} wanted @returns {Promise<Map<string, Ban>>} */
    async #list(wanted) {
        const all = new Map();
        let after = "";
        do {
            const [bans, next] = await this.call("ListBans", "", after, PAGE, 0);
            for (const ban of bans.map(fromWire))
                all.set(keyOf(ban), ban);
            after = next;
        } while (after && wanted());
        return all;
    }

    /** @param {string} member @param {any[]} args */
    #hear(member, args) {
        if (this.#queue) {
            this.#queue.push([member, args]);
            return;
        }
        const [jail, address] = args;
        const key = keyOf({ jail, address });
        if (member === "BanRemoved") {
            this.bans.delete(key);
        } else if (member === "BanNew") {
            const known = this.bans.get(key);
            const [, , until, failures, origin, , simulated] = args;
            if (known?.until !== time(until)) // the list may already have it
                this.bans.set(key, { jail, address, since: Date.now() * 1000, until: time(until), failures, offence: null, origin, simulated });
        } else {
            if (member === "Reloading" && !args[0])
                this.refresh(); // which jails simulate is not among the properties
            return; // other signals come with changed properties
        }
        this.#on.bans();
    }

    /** Asks for what BanNew does not say about these bans, one question at a time. @param {Ban[]} bans */
    async complete(bans) {
        const open = bans.filter(b => b.offence === null);
        if (this.#completing || !open.length)
            return;
        this.#completing = true;
        for (const ban of open) {
            ban.offence = 0; // ask only once, even if there is no answer
            try {
                const [answer] = await this.call("QueryAddress", ban.address);
                for (const b of answer.map(fromWire)) {
                    if (this.bans.has(keyOf(b)))
                        this.bans.set(keyOf(b), b);
                }
            } catch {
                continue; // show the ban without it
            }
        }
        this.#completing = false;
        this.#on.bans();
    }
}
