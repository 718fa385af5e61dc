import com.google.protobuf.ByteString;
import i2v.v1.Asset;
import i2v.v1.AssetServiceGrpc;
import i2v.v1.GetJobRequest;
import i2v.v1.ImageToVideo;
import i2v.v1.Job;
import i2v.v1.JobEvent;
import i2v.v1.JobServiceGrpc;
import i2v.v1.JobSpec;
import i2v.v1.ReadAssetRequest;
import i2v.v1.ReadAssetResponse;
import i2v.v1.SubmitJobRequest;
import i2v.v1.WatchJobRequest;
import i2v.v1.WatchJobResponse;
import i2v.v1.WriteAssetHeader;
import i2v.v1.WriteAssetRequest;
import io.grpc.Channel;
import io.grpc.ClientInterceptors;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import java.io.OutputStream;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/**
 * Makes a video of a picture: {@code MakeVideo PICTURE PROMPT VIDEO}.
 *
 * <p>I2V_SERVER and I2V_KEY say where, and for whom; I2V_MODEL, which model.
 */
public final class MakeVideo {
  private static final int CHUNK_BYTES = 256 * 1024;
  private static final long CALL_SECONDS = 60;
  private static final int WATCHES = 20;

  /** gRPC repeats what was not answered: the request_id makes that safe for a submission, the rest is idempotent. */
  private static final Map<String, Object> RETRIES =
      Map.of(
          "methodConfig",
          List.of(
              Map.of(
                  "name", List.of(Map.of("service", "i2v.v1.JobService"), Map.of("service", "i2v.v1.AssetService")),
                  "retryPolicy",
                      Map.of(
                          "maxAttempts", 5.0,
                          "initialBackoff", "0.2s",
                          "maxBackoff", "5s",
                          "backoffMultiplier", 2.0,
                          "retryableStatusCodes", List.of("UNAVAILABLE")))));

  private final JobServiceGrpc.JobServiceBlockingStub jobs;
  private final AssetServiceGrpc.AssetServiceStub uploads;
  private final AssetServiceGrpc.AssetServiceBlockingStub assets;

  private MakeVideo(ManagedChannel channel, String key) {
    Metadata caller = new Metadata();
    caller.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + key);
    Channel called = ClientInterceptors.intercept(channel, MetadataUtils.newAttachHeadersInterceptor(caller));
    jobs = JobServiceGrpc.newBlockingStub(called);
    uploads = AssetServiceGrpc.newStub(called);
    assets = AssetServiceGrpc.newBlockingStub(called);
  }

  public static void main(String[] arguments) throws Exception {
    ManagedChannel channel =
        ManagedChannelBuilder.forTarget(System.getenv().getOrDefault("I2V_SERVER", "127.0.0.1:50051"))
            .usePlaintext()
            .enableRetry()
            .defaultServiceConfig(RETRIES)
            .build();
    try {
      MakeVideo client = new MakeVideo(channel, System.getenv("I2V_KEY"));
      String image = client.upload(Files.readAllBytes(Path.of(arguments[0])));
      Job job = client.watch(client.submit(image, arguments[1]));
      if (job.getState() != Job.State.SUCCEEDED) {
        throw new IllegalStateException(job.getName() + " " + job.getState() + ": " + job.getError().getMessage());
      }
      client.download(job.getOutput().getAsset(), Path.of(arguments[2]));
      System.out.println(arguments[2] + " " + job.getOutput().getSizeBytes() + " bytes");
    } finally {
      channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
    }
  }

  private String upload(byte[] picture) throws Exception {
    CompletableFuture<String> name = new CompletableFuture<>();
    StreamObserver<WriteAssetRequest> parts =
        uploads
            .withDeadlineAfter(CALL_SECONDS, TimeUnit.SECONDS)
            .writeAsset(
                new StreamObserver<>() {
                  @Override
                  public void onNext(Asset asset) {
                    name.complete(asset.getName());
                  }

                  @Override
                  public void onError(Throwable error) {
                    name.completeExceptionally(error);
                  }

                  @Override
                  public void onCompleted() {}
                });
    WriteAssetHeader header =
        WriteAssetHeader.newBuilder()
            .setMediaType("image/*")
            .setSizeBytes(picture.length)
            .setSha256(hexadecimal(MessageDigest.getInstance("SHA-256").digest(picture)))
            .build();
    parts.onNext(WriteAssetRequest.newBuilder().setHeader(header).build());
    for (int at = 0; at < picture.length; at += CHUNK_BYTES) {
      ByteString data = ByteString.copyFrom(picture, at, Math.min(CHUNK_BYTES, picture.length - at));
      parts.onNext(WriteAssetRequest.newBuilder().setData(data).build());
    }
    parts.onCompleted();
    return name.get();
  }

  private String submit(String image, String prompt) {
    JobSpec spec =
        JobSpec.newBuilder()
            .setModel(System.getenv().getOrDefault("I2V_MODEL", "nano"))
            .setImageToVideo(ImageToVideo.newBuilder().setImage(image).setPrompt(prompt))
            .build();
    String requestId = UUID.randomUUID().toString();
    return jobs.withDeadlineAfter(CALL_SECONDS, TimeUnit.SECONDS)
        .submitJob(SubmitJobRequest.newBuilder().setRequestId(requestId).setSpec(spec).build())
        .getName();
  }

  /** Prints the events until the job has ended. A stream that breaks continues after the last number seen. */
  private Job watch(String name) throws InterruptedException {
    long after = 0;
    for (int watches = 1; ; watches++) {
      try {
        WatchJobRequest request = WatchJobRequest.newBuilder().setName(name).setAfterSequence(after).build();
        Iterator<WatchJobResponse> responses = jobs.watchJob(request);
        while (responses.hasNext()) {
          WatchJobResponse response = responses.next();
          if (response.hasEvent()) {
            JobEvent event = response.getEvent();
            after = event.getSequence();
            System.out.println(after + " " + event.getEventCase());
          }
        }
        Job job = jobs.getJob(GetJobRequest.newBuilder().setName(name).build());
        if (job.hasEndTime()) {
          return job;
        }
      } catch (StatusRuntimeException error) {
        if (error.getStatus().getCode() != Status.Code.UNAVAILABLE || watches == WATCHES) {
          throw error;
        }
      }
      TimeUnit.SECONDS.sleep(1);
    }
  }

  /** Downloads a file, and gives it its name when its digest is right. */
  private void download(String asset, Path to) throws Exception {
    MessageDigest digest = MessageDigest.getInstance("SHA-256");
    Path part = Path.of(to + ".part");
    try (OutputStream file = Files.newOutputStream(part)) {
      Iterator<ReadAssetResponse> responses = assets.readAsset(ReadAssetRequest.newBuilder().setName(asset).build());
      while (responses.hasNext()) {
        byte[] data = responses.next().getData().toByteArray();
        digest.update(data);
        file.write(data);
      }
    }
    if (!asset.equals("assets/" + hexadecimal(digest.digest()))) {
      throw new IllegalStateException(asset + " arrived damaged");
    }
    Files.move(part, to, StandardCopyOption.REPLACE_EXISTING);
  }

  private static String hexadecimal(byte[] digest) {
    return String.format("%064x", new BigInteger(1, digest));
  }
}
