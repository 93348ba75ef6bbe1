// @ts-check
// exiled, over the bus: its bans as they are now, and the calls. Views read this and are told when it changed.
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
 * @property {number | null} bans the how-manieth of this address; null: it was not said yet
 * @property {string} origin
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

/** The largest 64-bit number comes as -1 from the C bridge, and rounded from the Python bridge. @param {number} usec */
const time = usec => usec < 0 || usec >= 2 ** 63 ? Infinity : usec;

/** @param {any[]} wire (ssttuus) @returns {Ban} */
const fromWire = ([jail, address, since, until, failures, bans, origin]) => ({ jail, address, since, until: time(until), failures, bans, origin });

export class Daemon {
    /** @type {Map<string, Ban>} */
    bans = new Map();
    /** @type {any} */
    #client = null;
    /** @type {[string, any[]][] | null} signals that came while the bans are listed; null: they are not */
    #queue = null;
    #asked = 0; // for the status
    #completing = false;
    #on;

    /** @param {Listener} listener */
    constructor(listener) {
        this.#on = listener;
    }

    /** Connects, again when administrative access came or went: channels do not move between the bridges by themselves. */
    connect() {
        const before = this.#client;
        this.#client = null;
        before?.close();
        // With administrative access exiled is called by root's bridge; without it by the user's own, and polkit decides.
        const client = cockpit.dbus("org.exile1", { bus: "system", superuser: "try" });
        this.#client = client;
        /** @param {(...args: any[]) => void} f */
        const current = f => (/** @type {any[]} */ ...args) => { if (this.#client === client) f(...args) };
        client.subscribe({ path: PATH, interface: MANAGER }, current((_path, _interface, member, args) => this.#hear(member, args)));
        // exiled sends no more than one a second
        client.subscribe({ path: PATH, interface: "org.freedesktop.DBus.Properties", member: "PropertiesChanged" }, current(() => this.refresh()));
        client.addEventListener("owner", current((_event, owner) => owner ? this.#came() : this.#went()));
        client.addEventListener("close", current((_event, options) => {
            this.#client = null;
            this.#went();
            if (options.problem !== "not-found") // which is that exiled does not run, and cannot be started
                this.#on.failed("No connection to the system bus", options);
        }));
    }

    /** Connects, and again when exiled comes after a connection has found none. */
    watch() {
        this.connect();
        const bus = cockpit.dbus("org.freedesktop.DBus", { bus: "system" });
        bus.subscribe({ path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus", member: "NameOwnerChanged", arg0: "org.exile1" },
                      () => this.#client ?? this.connect());
    }

    /** @param {string} method @param {any[]} args @returns {Promise<any[]>} */
    call(method, ...args) {
        return this.#client?.call(PATH, MANAGER, method, args) ?? Promise.reject({ name: "org.freedesktop.DBus.Error.ServiceUnknown" });
    }

    /** Asks for the status; the answer to the last question counts. */
    async refresh() {
        const number = ++this.#asked;
        try {
            const [json] = await this.call("Describe");
            if (number === this.#asked)
                this.#on.status(JSON.parse(json));
        } catch (error) {
            if (number === this.#asked)
                this.#on.failed("Could not read the state", error);
        }
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
            // Before listing, so that nothing falls in between. All tabs of a session share one connection to the bus: none
            // may unsubscribe.
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
            const [, , until, failures, origin] = args;
            if (known?.until !== time(until)) // the list may have had it
                this.bans.set(key, { jail, address, since: Date.now() * 1000, until: time(until), failures, bans: null, origin });
        } else {
            return; // Reloading and the like change the properties, too
        }
        this.#on.bans();
    }

    /** Asks what BanNew does not say of these bans, one question at a time. @param {Ban[]} bans */
    async complete(bans) {
        const open = bans.filter(b => b.bans === null);
        if (this.#completing || !open.length)
            return;
        this.#completing = true;
        for (const ban of open) {
            ban.bans = 0; // asked once, even if there is no answer
            try {
                const [answer] = await this.call("QueryAddress", ban.address);
                for (const b of answer.map(fromWire)) {
                    if (this.bans.has(keyOf(b)))
                        this.bans.set(keyOf(b), b);
                }
            } catch {
                continue; // the ban is shown without
            }
        }
        this.#completing = false;
        this.#on.bans();
    }
}
