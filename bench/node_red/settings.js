// Node-RED as it is installed, but for its editor and its telemetry, which no request passes through.
module.exports = {
    uiHost: "127.0.0.1",
    httpAdminRoot: false,
    telemetry: { enabled: false, updateNotification: false },
    logging: { console: { level: "warn", metrics: false, audit: false } },
};
