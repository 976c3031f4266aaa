/// How the report looks; fonts that every system has, ink that every printer has.
enum BagReportStyle {
    static let text = """
        :root{color-scheme:light;--ink:#1c2733;--soft:#5b6b7b;--line:#e1e7ed;--blue:#1f5fa8;\
        --good:#1a7f4b;--bad:#b3261e;--paper:#fff;--ground:#f3f5f8}
        *{box-sizing:border-box}
        body{margin:0;background:var(--ground);color:var(--ink);\
        font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif}
        main{max-width:1000px;margin:32px auto;background:var(--paper);border-radius:14px;\
        box-shadow:0 1px 3px #0002,0 12px 40px #0000000f;padding:44px 52px}
        header{border-bottom:1px solid var(--line);padding-bottom:22px;margin-bottom:8px}
        .kind{margin:0;text-transform:uppercase;letter-spacing:.14em;font-size:12px;\
        color:var(--soft);font-weight:600}
        h1{margin:.1em 0 .35em;font-size:38px;line-height:1.15;letter-spacing:-.02em;\
        overflow-wrap:anywhere}
        h2{font-size:20px;margin:0 0 12px}
        h3{font-size:16px;margin:22px 0 8px}
        .sub{margin:12px 0 0;color:var(--soft)}
        .pill{display:inline-block;margin:0;padding:4px 14px;border-radius:99px;font-weight:600;\
        font-size:14px}
        .good{background:#e3f4ea;color:var(--good)}
        .bad{background:#fce8e6;color:var(--bad)}
        section{padding:26px 0 4px}
        .missing{background:#fff6f5;border:1px solid #f3c9c5;border-left:6px solid var(--bad);\
        border-radius:10px;padding:20px 24px;margin-top:24px}
        .missing h2{color:var(--bad)}
        .numbers{display:grid;grid-template-columns:repeat(4,1fr);gap:14px}
        .numbers div{background:var(--ground);border-radius:10px;padding:16px 18px}
        .numbers b{display:block;font-size:26px;line-height:1.2;letter-spacing:-.01em}
        .numbers span{color:var(--soft);font-size:14px}
        dl{display:grid;grid-template-columns:150px 1fr;gap:7px 18px;margin:0}
        dt{color:var(--soft)}
        dd{margin:0;overflow-wrap:anywhere}
        code,pre,.path,.tree,.id{font-family:ui-monospace,"SF Mono",Menlo,Consolas,\
        "DejaVu Sans Mono",monospace;font-size:13.5px}
        code{background:var(--ground);border-radius:5px;padding:1px 6px;overflow-wrap:anywhere}
        pre{background:#18222d;color:#e6edf3;border-radius:10px;padding:16px 20px;overflow-x:auto;\
        white-space:pre-wrap}
        table{border-collapse:collapse;width:100%;font-size:14.5px;margin:10px 0}
        th{text-align:left;font-weight:600;color:var(--soft);font-size:12.5px}
        th,td{padding:7px 12px 7px 0;border-bottom:1px solid var(--line);vertical-align:top;\
        overflow-wrap:anywhere}
        td.path{min-width:180px}
        .num{text-align:right;white-space:nowrap}
        .used td:first-child{font-weight:600;color:var(--blue)}
        .size{color:var(--soft);font-weight:400;font-size:13.5px}
        .layers{font-size:14.5px;color:var(--soft)}
        .plain{padding-left:20px;margin:6px 0}
        .warn{color:var(--bad)}
        svg{width:100%;height:auto;display:block;margin:8px 0 4px}
        svg .free{fill:#e6ebf1}
        svg .part{fill:#b9c7d6}
        svg .read{fill:var(--blue)}
        svg text{font:600 15px system-ui,"Noto Sans","DejaVu Sans",sans-serif;fill:#33475b}
        svg .what{font-weight:400;font-size:13px}
        svg .on{fill:#fff}
        .tree ul{list-style:none;margin:0;padding-left:22px;border-left:1px solid var(--line)}
        .tree>ul{padding-left:0;border:0}
        .tree li{padding:1.5px 0;overflow-wrap:anywhere}
        .tree summary{cursor:pointer}
        .dir{font-weight:600;color:var(--blue)}
        .more,.cut{color:var(--soft);font-style:italic}
        .partial bdi{color:var(--bad)}
        .digests code{background:none;padding:0;font-size:12.5px}
        @media(max-width:700px){main{padding:24px 20px;margin:0;border-radius:0}\
        .numbers{grid-template-columns:1fr 1fr}dl{grid-template-columns:1fr}dd{margin-bottom:8px}}
        @media print{body{background:#fff}main{box-shadow:none;margin:0;max-width:none;padding:0}\
        section{break-inside:avoid-page}.tree{break-inside:auto}}
        """
}
