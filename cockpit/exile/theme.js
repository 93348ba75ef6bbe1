// @ts-check
// Follows the theme chosen in Cockpit's shell, or the browser's. It is a classic script in <head>, so that the class is set
// before the first paint.
(() => {
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    /** @param {string} [style] */
    const apply = style => {
        const chosen = style || localStorage.getItem("shell:style") || "auto";
        document.documentElement.classList.toggle("pf-v6-theme-dark", chosen === "dark" || chosen === "auto" && dark.matches);
    };
    window.addEventListener("storage", event => { if (event.key === "shell:style") apply(); });
    window.addEventListener("cockpit-style", event => apply(/** @type {CustomEvent} */ (event).detail?.style));
    dark.addEventListener("change", () => apply());
    apply();
})();
