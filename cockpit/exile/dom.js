// @ts-check
// Shared by the views: elements, and texts for durations, times and errors. Text from outside only becomes text content.

/** cockpit.js is a classic script and exports nothing. */
export const cockpit = /** @type {any} */ (globalThis).cockpit;

/** @param {string} id */
export const $ = id => /** @type {HTMLElement} */ (document.getElementById(id));

/** @param {string} id @returns {string} the text typed or chosen in a field */
export const value = id => /** @type {HTMLInputElement} */ ($(id)).value.trim();

/**
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {(Node | string)[]} children
 */
export function el(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, text] of Object.entries(attributes))
        element.setAttribute(name, text);
    element.append(...children);
    return element;
}

/** @param {string} label @param {string} look @param {(button: HTMLButtonElement) => void} act */
export function button(label, look, act) {
    const b = /** @type {HTMLButtonElement} */ (el("button", { type: "button", class: "pf-v6-c-button " + look },
                                                   el("span", { class: "pf-v6-c-button__text" }, label)));
    b.addEventListener("click", () => act(b));
    return b;
}

/** @param {string} label @param {(Node | string)[]} children */
export function cell(label, ...children) {
    return el("td", { class: "pf-v6-c-table__td", "data-label": label }, ...children);
}

/**
 * Makes wanted the children of parent without touching those already in place, so that the focus stays where it is.
 * @param {HTMLElement} parent @param {HTMLElement[]} wanted
 */
export function arrange(parent, wanted) {
    const keep = new Set(wanted);
    for (const child of /** @type {HTMLElement[]} */ ([...parent.children])) {
        if (!keep.has(child))
            child.remove();
    }
    wanted.forEach((child, i) => {
        if (parent.children[i] !== child)
            parent.insertBefore(child, parent.children[i] ?? null);
    });
}

/** Writes the text only if it changed, so that selected text stays selected. @param {Node} node @param {string} text */
export function write(node, text) {
    if (node.textContent !== text)
        node.textContent = text;
}

/** @param {string} term @param {(Node | string)[]} values @returns {HTMLElement[]} a line of a list of facts; empty without values */
export function fact(term, ...values) {
    if (!values.length)
        return [];
    const dd = el("dd", {});
    if (values.length === 1)
        dd.append(values[0]);
    else
        dd.append(el("ul", {}, ...values.map(v => el("li", {}, v))));
    return [el("dt", {}, term), dd];
}

/** @param {number} usec since 1970 */
export const moment = usec => new Date(usec / 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** @param {number} until microseconds since 1970, or Infinity @returns {string} the time left until then */
export function left(until) {
    if (until === Infinity)
        return "for ever";
    const s = Math.max(0, Math.round(until / 1e6 - Date.now() / 1e3));
    if (s >= 86400)
        return `${Math.floor(s / 86400)}d ${Math.floor(s % 86400 / 3600)}h`;
    if (s >= 3600)
        return `${Math.floor(s / 3600)}h ${Math.floor(s % 3600 / 60)}min`;
    return s >= 60 ? `${Math.floor(s / 60)}min ${s % 60}s` : `${s}s`;
}

/**
 * Explains an error to somebody in front of Cockpit. Nobody is asked for a password here, because the bridges have no polkit
 * dialog; instead people turn on administrative access in the shell, and root may do everything.
 * @param {any} error @param {boolean} admin whether there is administrative access
 * @returns {string}
 */
export function words(error, admin) {
    const name = String(error?.name ?? "").replace("org.freedesktop.DBus.Error.", "");
    if (name === "InteractiveAuthorizationRequired" || (name === "AccessDenied" || error?.problem === "access-denied") && !admin)
        return "Turn on administrative access to do this.";
    if (name === "AccessDenied")
        return "You are not allowed to do this.";
    if (name === "ServiceUnknown" || name === "NameHasNoOwner")
        return "exiled is not running.";
    if (name === "python.error") // its text is a traceback
        return "exiled does not accept this.";
    return error?.message || (error?.problem ? cockpit.message(error) : String(error));
}
