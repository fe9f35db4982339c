// A classic dashboard, put together of the types of @grafana/schema.
//
// What is exported here has a name in the schema, the rest is written out where it stands.
//
// The package has the dashboard, and apart from it the options of each kind of panel; here they meet. What it
// leaves `unknown`, or has otherwise than Grafana reads it from a file, is written out, each with the reason.
import type * as common from "@grafana/schema";
import type * as bargauge from "@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen";
import type * as gauge from "@grafana/schema/dist/esm/raw/composable/gauge/panelcfg/x/GaugePanelCfg_types.gen";
import type * as heatmap from "@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen";
import type * as logs from "@grafana/schema/dist/esm/raw/composable/logs/panelcfg/x/LogsPanelCfg_types.gen";
import type * as piechart from "@grafana/schema/dist/esm/raw/composable/piechart/panelcfg/x/PieChartPanelCfg_types.gen";
import type * as stat from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as statetimeline from "@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen";
import type * as table from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type * as text from "@grafana/schema/dist/esm/raw/composable/text/panelcfg/x/TextPanelCfg_types.gen";
import type * as timeseries from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";
import type * as raw from "@grafana/schema/dist/esm/raw/dashboard/x/Dashboard_types.gen";

export interface Dashboard extends Omit<raw.Dashboard, "annotations" | "panels" | "templating"> {
  annotations?: { list?: Annotation[] };
  panels?: DashboardPanel[];
  templating?: { list?: Variable[] };
}

/** @discriminator type */
export type DashboardPanel = RowPanel | AnyPanel;

export interface RowPanel extends Omit<raw.RowPanel, "panels"> {
  panels: AnyPanel[];
}

// Panels of today's core. Its list of alerts has no options in the package, so a dashboard has none.
/** @discriminator type */
export type AnyPanel =
  | BarGaugePanel
  | GaugePanel
  | HeatmapPanel
  | LogsPanel
  | PieChartPanel
  | StatPanel
  | StateTimelinePanel
  | TablePanel
  | TextPanel
  | TimeSeriesPanel;

export interface BarGaugePanel extends Panel<bargauge.Options> {
  type: "bargauge";
}
export interface GaugePanel extends Panel<gauge.Options> {
  type: "gauge";
}
export interface HeatmapPanel extends Panel<heatmap.Options, heatmap.FieldConfig> {
  type: "heatmap";
}
export interface LogsPanel extends Panel<logs.Options, Nothing, LokiQuery> {
  type: "logs";
}
export interface PieChartPanel extends Panel<piechart.Options, piechart.FieldConfig> {
  type: "piechart";
}
export interface StatPanel extends Panel<stat.Options> {
  type: "stat";
}
export interface StateTimelinePanel extends Panel<statetimeline.Options, statetimeline.FieldConfig> {
  type: "state-timeline";
}
export interface TablePanel extends Panel<table.Options, table.FieldConfig> {
  type: "table";
}
export interface TextPanel extends Panel<text.Options> {
  type: "text";
}
export interface TimeSeriesPanel extends Panel<timeseries.Options, timeseries.FieldConfig> {
  type: "timeseries";
}

// `options`, `custom` and `targets` are records of the unknown, and depend on the kind of panel. Grafana fills in
// the options that are missing from the defaults of the panel, so none is required.
interface Panel<Options, Custom = Nothing, Query = PrometheusQuery>
  extends Omit<raw.Panel, "fieldConfig" | "links" | "options" | "targets" | "transformations" | "type"> {
  fieldConfig?: { defaults: FieldConfig<Custom>; overrides: Override<Custom>[] };
  links?: Link[];
  options?: Partial<Options>;
  targets?: Query[];
  transformations?: Transformation[];
}

interface Nothing {}

interface FieldConfig<Custom> extends Omit<raw.FieldConfig, "custom" | "links"> {
  custom?: Partial<Custom>;
  links?: Link[];
}

// The package has any text and any value; in fact a property is a field of the configuration.
interface Override<Custom> {
  matcher: Matcher;
  properties: (Property<Omit<FieldConfig<Custom>, "custom">, ""> | Property<Custom, "custom.">)[];
}
type Property<Fields, Prefix extends string> = {
  [Field in Extract<keyof Fields, string>]: { id: `${Prefix}${Field}`; value?: Fields[Field] };
}[Extract<keyof Fields, string>];

// Any text and any options in the package. These are the matchers for series; @grafana/data knows more.
export interface Matcher {
  id: "byFrameRefID" | "byName" | "byRegexp";
  options: string;
}

// Any text and any options in the package. From @grafana/data, those that a dashboard has needed so far.
/** @discriminator id */
export type Transformation = FilterFields | Organize;
export interface FilterFields {
  id: "filterFieldsByName";
  options: { include?: { names?: string[]; pattern?: string }; exclude?: { names?: string[]; pattern?: string } };
}
export interface Organize {
  id: "organize";
  options: {
    excludeByName?: Record<string, boolean>;
    includeByName?: Record<string, boolean>;
    indexByName?: Record<string, number>;
    renameByName?: Record<string, string>;
  };
}

// Links of a field are unknown in the package, and those of a panel are links of a dashboard, with fields that
// a panel's have not. These are of @grafana/data.
export interface Link {
  oneClick?: boolean;
  targetBlank?: boolean;
  title: string;
  url: string;
}

// The query of a variable is any record in the package. `definition`, which Grafana shows in the list of the
// variables and writes into each file, is not in it.
export interface Variable extends Omit<raw.VariableModel, "query"> {
  definition?: string;
  query?: string | { qryType?: number; query: string; refId: string };
}

// The package has annotations of Grafana's own database alone. These are those of Prometheus, of
// @grafana/prometheus.
export interface Annotation extends Omit<raw.AnnotationQuery, "target" | "type"> {
  expr?: string;
  step?: string;
  tagKeys?: string;
  target?: PrometheusQuery;
  textFormat?: string;
  titleFormat?: string;
  useValueForTime?: boolean;
}

// Queries are records of the unknown in the package.
interface Query extends Omit<common.DataQuery, "datasource"> {
  datasource?: raw.DataSourceRef;
  editorMode?: "builder" | "code";
  expr: string;
  instant?: boolean;
  legendFormat?: string;
  range?: boolean;
}
// Of @grafana/prometheus 13.2.3.
export interface PrometheusQuery extends Query {
  exemplar?: boolean;
  format?: "heatmap" | "table" | "time_series";
  interval?: string;
  intervalFactor?: number;
}
// Of @grafana/schema 12.4.0, the last version in which it was there.
export interface LokiQuery extends Query {
  direction?: "backward" | "forward" | "scan";
  maxLines?: number;
  resolution?: number;
  step?: string;
}
