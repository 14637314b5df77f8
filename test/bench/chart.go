package main

import (
	"fmt"
	"html"
	"strings"
)

const (
	chartWidth = 820
	barHeight  = 18
	labelWidth = 190
)

// chart draws the processor time of each server in each work of a group, as
// bars that are to scale within a work.
func chart(group string, rows []row) string {
	var body strings.Builder
	y, work, longest := 10, "", 0.0
	for _, r := range rows {
		if r.Group != group {
			continue
		}
		if r.Work != work {
			work = r.Work
			longest = 0
			for _, o := range rows {
				if o.Group == group && o.Work == work {
					longest = max(longest, o.CPU)
				}
			}
			y += 22
			fmt.Fprintf(&body, `<text x="8" y="%d" font-weight="bold">%s</text>`+"\n", y, html.EscapeString(work))
			y += 8
		}
		color, value, width := "#8aa4c0", fmt.Sprintf("%.2f µs", r.CPU), 0.0
		if r.Server == "Roomspan" {
			color = "#d9622b"
		}
		if r.Failure != "" {
			value = "failed"
		} else if longest > 0 {
			width = r.CPU / longest * (chartWidth - labelWidth - 100)
		}
		fmt.Fprintf(&body, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", labelWidth-8, y+13, html.EscapeString(r.Server))
		fmt.Fprintf(&body, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", labelWidth, y, width, barHeight-4, color)
		fmt.Fprintf(&body, `<text x="%.1f" y="%d">%s</text>`+"\n", labelWidth+width+6, y+13, value)
		y += barHeight
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">
<rect width="100%%" height="100%%" fill="white"/>
%s</svg>
`, chartWidth, y+12, body.String())
}
