// @ts-check
// Follows the theme that was chosen in Cockpit's shell, or the browser's. A classic script in <head>: the class is there
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
