// Makes a video of a picture: make-video PICTURE PROMPT VIDEO.
//
// I2V_SERVER and I2V_KEY say where, and for whom; I2V_MODEL, which model.
package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	i2v "i2v.example/gen/i2v/v1"
)

const (
	chunkBytes  = 256 * 1024
	callTime    = time.Minute
	watchesMost = 20
	// gRPC repeats what was not answered: the request_id makes that safe for a submission, the rest is idempotent.
	retries = `{"methodConfig": [{
		"name": [{"service": "i2v.v1.JobService"}, {"service": "i2v.v1.AssetService"}],
		"retryPolicy": {
			"maxAttempts": 5,
			"initialBackoff": "0.2s",
			"maxBackoff": "5s",
			"backoffMultiplier": 2,
			"retryableStatusCodes": ["UNAVAILABLE"]
		}
	}]}`
)

type client struct {
	jobs   i2v.JobServiceClient
	assets i2v.AssetServiceClient
}

func main() {
	if len(os.Args) != 4 {
		log.Fatal("give PICTURE PROMPT VIDEO")
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func run(picture, prompt, video string) error {
	options := []grpc.DialOption{grpc.WithInsecure(), grpc.WithDefaultServiceConfig(retries)}
	channel, err := grpc.Dial(or("I2V_SERVER", "127.0.0.1:50051"), options...)
	if err != nil {
		return err
	}
	defer channel.Close()
	c := client{jobs: i2v.NewJobServiceClient(channel), assets: i2v.NewAssetServiceClient(channel)}
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+os.Getenv("I2V_KEY"))

	image, err := c.upload(ctx, picture)
	if err != nil {
		return err
	}
	name, err := c.submit(ctx, image, prompt)
	if err != nil {
		return err
	}
	job, err := c.watch(ctx, name)
	if err != nil {
		return err
	}
	if job.State != i2v.Job_SUCCEEDED {
		return fmt.Errorf("%s %s: %s", job.Name, job.State, job.GetError().GetMessage())
	}
	if err := c.download(ctx, job.Output.Asset, video); err != nil {
		return err
	}
	fmt.Println(video, job.Output.SizeBytes, "bytes")
	return nil
}

func (c client) upload(ctx context.Context, picture string) (string, error) {
	data, err := os.ReadFile(picture)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	parts, err := c.assets.WriteAsset(ctx)
	if err != nil {
		return "", err
	}
	size := int64(len(data))
	header := &i2v.WriteAssetHeader{MediaType: "image/*", SizeBytes: &size, Sha256: fmt.Sprintf("%x", sha256.Sum256(data))}
	request := &i2v.WriteAssetRequest{Part: &i2v.WriteAssetRequest_Header{Header: header}}
	for {
		// io.EOF: the server has refused it already, and the answer says why.
		if err := parts.Send(request); err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		if len(data) == 0 {
			break
		}
		part := data
		if len(part) > chunkBytes {
			part = part[:chunkBytes]
		}
		data = data[len(part):]
		request = &i2v.WriteAssetRequest{Part: &i2v.WriteAssetRequest_Data{Data: part}}
	}
	asset, err := parts.CloseAndRecv()
	return asset.GetName(), err
}

func (c client) submit(ctx context.Context, image, prompt string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	requestID, err := uuid()
	if err != nil {
		return "", err
	}
	job, err := c.jobs.SubmitJob(ctx, &i2v.SubmitJobRequest{
		RequestId: requestID,
		Spec: &i2v.JobSpec{
			Model:     or("I2V_MODEL", "nano"),
			Operation: &i2v.JobSpec_ImageToVideo{ImageToVideo: &i2v.ImageToVideo{Image: image, Prompt: prompt}},
		},
	})
	return job.GetName(), err
}

// Prints the events until the job has ended. A stream that breaks continues after the last number seen.
func (c client) watch(ctx context.Context, name string) (*i2v.Job, error) {
	var after int64
	for watches := 1; ; watches++ {
		err := c.events(ctx, name, &after)
		if err == nil {
			job, err := c.jobs.GetJob(ctx, &i2v.GetJobRequest{Name: name})
			if err != nil || job.EndTime != nil {
				return job, err
			}
		} else if status.Code(err) != codes.Unavailable || watches == watchesMost {
			return nil, err
		}
		time.Sleep(time.Second)
	}
}

func (c client) events(ctx context.Context, name string, after *int64) error {
	stream, err := c.jobs.WatchJob(ctx, &i2v.WatchJobRequest{Name: name, AfterSequence: *after})
	for err == nil {
		var response *i2v.WatchJobResponse
		response, err = stream.Recv()
		if event := response.GetEvent(); err == nil && event != nil {
			*after = event.Sequence
			fmt.Printf("%d %T\n", event.Sequence, event.Event)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// Downloads a file, and gives it its name when its digest is right.
func (c client) download(ctx context.Context, asset, to string) error {
	stream, err := c.assets.ReadAsset(ctx, &i2v.ReadAssetRequest{Name: asset})
	if err != nil {
		return err
	}
	file, err := os.Create(to + ".part")
	if err != nil {
		return err
	}
	defer file.Close()
	digest := sha256.New()
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if _, err := io.MultiWriter(file, digest).Write(response.Data); err != nil {
			return err
		}
	}
	if asset != fmt.Sprintf("assets/%x", digest.Sum(nil)) {
		return fmt.Errorf("%s arrived damaged", asset)
	}
	return os.Rename(file.Name(), to)
}

func uuid() (string, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", err
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]), nil
}

func or(name, value string) string {
	if given := os.Getenv(name); given != "" {
		return given
	}
	return value
}
