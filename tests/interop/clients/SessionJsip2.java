// A whole session with JSIP2 (MIT), fetched by hand. Arguments: host port user password institution reader_no pin item_no; one line of JSON out.
import com.pkrete.jsip2.connection.SIP2SocketConnection;
import com.pkrete.jsip2.messages.SIP2MessageRequest;
import com.pkrete.jsip2.messages.SIP2MessageResponse;
import com.pkrete.jsip2.messages.requests.*;
import com.pkrete.jsip2.messages.responses.*;

public class SessionJsip2 {
    private static SIP2SocketConnection line;
    private static int sequence = 0;

    private static SIP2MessageResponse ask(SIP2MessageRequest request) throws Exception {
        request.setErrorDetectionEnabled(true);
        request.setSequence(sequence++ % 10);
        return line.send(request);
    }

    public static void main(String[] given) throws Exception {
        String institution = given[4], reader = given[5], pin = given[6], item = given[7];
        line = new SIP2SocketConnection(given[0], Integer.parseInt(given[1]));
        if (!line.connect()) throw new IllegalStateException("no connection");
        boolean login = ask(new SIP2LoginRequest(given[2], given[3], "hall")).isOk();
        SIP2ACSStatusResponse status = (SIP2ACSStatusResponse) ask(new SIP2SCStatusRequest());
        SIP2PatronInformationResponse before =
            (SIP2PatronInformationResponse) ask(new SIP2PatronInformationRequest(institution, reader, pin));
        SIP2ItemInformationResponse book = (SIP2ItemInformationResponse) ask(new SIP2ItemInformationRequest(institution, item));
        SIP2CheckoutResponse out = (SIP2CheckoutResponse) ask(new SIP2CheckoutRequest(institution, reader, pin, item));
        SIP2PatronInformationResponse with =
            (SIP2PatronInformationResponse) ask(new SIP2PatronInformationRequest(institution, reader, pin));
        SIP2CheckinResponse in = (SIP2CheckinResponse) ask(new SIP2CheckinRequest("hall", institution, item));
        SIP2MessageResponse end = ask(new SIP2EndPatronSessionRequest(institution, "", reader, pin));
        line.close();
        System.out.printf(
            "{\"login\": %b, \"online\": %b, \"valid\": %b, \"circulation\": \"%s\", \"checkout\": %b, \"title\": \"%s\", "
                + "\"charged\": %d, \"checkin\": %b, \"end\": %b}%n",
            login, status.isOnLineStatus(), before.isValidPatron(), book.getCirculationStatus(), out.isOk(),
            out.getTitleIdentifier(), with.getChargedItemsCount(), in.isOk(), end != null);
    }
}
