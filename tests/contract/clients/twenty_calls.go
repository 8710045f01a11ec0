// The calls of twenty_calls.py by clients that openapi-generator made for Go: twenty_calls PORTS GOOD. Its code sends arrays of a form as
// one field with commas, so batches have no ids here, and photographs always as forms.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	"twenty/classify"
	"twenty/cluster_assign"
	"twenty/embed_latent"
	"twenty/remove_background"
)

var ports map[string]int
var made int

func at(name string) string { return fmt.Sprintf("http://127.0.0.1:%d", ports[name]) }

func check(right bool, what ...any) {
	made++
	if !right {
		fmt.Println(append([]any{"call", made}, what...)...)
		os.Exit(1)
	}
}

func good() *os.File { return open(os.Args[2]) }

func open(path string) *os.File {
	file, err := os.Open(path)
	if err != nil {
		panic(err)
	}
	return file
}

func bad() *os.File {
	path := os.TempDir() + "/twenty-calls-bad.png"
	if err := os.WriteFile(path, []byte("no image"), 0o600); err != nil {
		panic(err)
	}
	return open(path)
}

func many() []*os.File { return []*os.File{good(), bad(), good()} }

func refused(answer *http.Response, status int) bool { return answer != nil && answer.StatusCode == status }

func main() {
	if err := json.Unmarshal([]byte(os.Args[1]), &ports); err != nil {
		panic(err)
	}
	ctx := context.Background()

	c := classify.NewConfiguration()
	c.Servers = classify.ServerConfigurations{{URL: at("classify")}}
	types := classify.NewAPIClient(c).ClassifyAPI
	answer, _, err := types.Classify(ctx).Image(good()).TopK(2).Id("record 17").Execute()
	check(err == nil && len(answer.Predictions) == 2 && answer.GetId() == "record 17", err)
	again, _, err := types.Classify(ctx).Image(good()).Execute()
	check(err == nil && again.Predictions[0].Label == answer.Predictions[0].Label, err)
	sure, _, err := types.Classify(ctx).Image(good()).Confidence(1).Execute()
	check(err == nil && sure.Abstained && sure.GetAbstentionReason() == "ABSTENTION_REASON_UNSURE_OF_TYPE", err)
	_, response, err := types.Classify(ctx).Image(bad()).Execute()
	check(err != nil && refused(response, 400), err)
	lines, _, err := types.ClassifyBatch(ctx).Images(many()).TopK(1).Execute()
	check(err == nil && len(lines) == 3 && lines[1].Error.Code == "IMAGE_UNDECODABLE" && lines[2].Error == nil, err)
	model, _, err := types.GetModel(ctx).Execute()
	check(err == nil && model.Model.Input.ResizeRule == "RESIZE_RULE_SQUASH", err)

	a := cluster_assign.NewConfiguration()
	a.Servers = cluster_assign.ServerConfigurations{{URL: at("cluster_assign")}}
	groups := cluster_assign.NewAPIClient(a).ClusterAssignAPI
	assigned, _, err := groups.Assign(ctx).Image(good()).Neighbours(2).Execute()
	check(err == nil && len(assigned.Neighbours) == 2 && assigned.Cluster.Id == assigned.Assignments[0].Cluster, err)
	rows, _, err := groups.AssignBatch(ctx).Images(many()).Execute()
	check(err == nil && len(rows) == 3 && rows[1].Error.Code == "IMAGE_UNDECODABLE", err)
	page, _, err := groups.ListClusters(ctx).PageSize(2).Execute()
	check(err == nil && len(page.Clusters) == 2, err)
	next, _, err := groups.ListClusters(ctx).PageSize(2).PageToken(page.NextPageToken).Execute()
	check(err == nil && len(next.Clusters) == 1, err)
	_, response, err = groups.ListClusters(ctx).PageToken("none").Execute()
	check(err != nil && refused(response, 422), err)

	e := embed_latent.NewConfiguration()
	e.Servers = embed_latent.ServerConfigurations{{URL: at("embed_latent")}}
	plane := embed_latent.NewAPIClient(e).EmbedLatentAPI
	point, _, err := plane.Embed(ctx).Image(good()).Features(true).Execute()
	check(err == nil && len(point.Latent) > 0 && len(point.Features) > 0, err)
	points, _, err := plane.EmbedBatch(ctx).Images(many()).Execute()
	check(err == nil && len(points) == 3 && points[1].Error.Code == "IMAGE_UNDECODABLE", err)
	space, _, err := plane.GetSpace(ctx).PageSize(1).Execute()
	check(err == nil && len(space.Points) == 1, err)
	drawn, _, err := plane.Decode(ctx).DecodeRequest(*embed_latent.NewDecodeRequest(space.PriorMean)).Execute()
	check(err == nil && len(drawn.Images) == 1, err)
	embedder, _, err := plane.GetModel(ctx).Execute()
	check(err == nil && embedder.Model.CreateTime.Year() >= 2026, err)

	r := remove_background.NewConfiguration()
	r.Servers = remove_background.ServerConfigurations{{URL: at("remove_background")}}
	masks := remove_background.NewAPIClient(r).RemoveBackgroundAPI
	mask, _, err := masks.RemoveBackground(ctx).Image(good()).Execute()
	check(err == nil && mask.HasMask() && !mask.HasCutout() && !mask.Report.Empty, err)
	both, _, err := masks.RemoveBackground(ctx).Image(good()).Output("both").Execute()
	check(err == nil && both.GetMask() == mask.GetMask() && both.HasCutout(), err)
	found, _, err := masks.RemoveBackgroundBatch(ctx).Images(many()).Threshold(0.5).Execute()
	check(err == nil && len(found) == 3 && found[1].Error.Code == "IMAGE_UNDECODABLE", err)
	archive, _, err := masks.RemoveBackgroundArchive(ctx).Images([]*os.File{good()}).For_("colmap").Execute()
	check(err == nil && archive != nil, err)
	if made != 20 {
		panic(made)
	}
}
